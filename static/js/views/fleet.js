// SPDX-License-Identifier: Apache-2.0
// Home: the figures of the fleet, what there is to look at, every node over time, and the list of nodes.

import { whyNot } from "../access.js";
import { div, el, para, replace } from "../dom.js";
import { replaceQuery } from "../router.js";
import { notice } from "../widgets.js";
import { drawFigures } from "./fleet-figures.js";
import { toggled } from "./fleet-filter.js";
import { heatCard, HEATS } from "./fleet-heat.js";
import { heatHistory, rangeOf, readTotals } from "./fleet-history.js";
import { listCard } from "./fleet-list.js";
import { problemsCard } from "./fleet-problems.js";

const ADDRESS_AFTER_MS = 300;
const COARSE_EVERY_S = 60;

export function mount(root, { store, route, title, navigate }) {
  title("Fleet");
  const view = {
    store, navigate, options: readOptions(route.query), control: new AbortController(), read_at: -Infinity,
    history: heatHistory(), spark: heatHistory(), series: null, timer: 0,
  };
  const filterBy = (term) => {
    change(view, { q: toggled(view.options.q, term) });
    view.list.element.scrollIntoView({ block: "nearest" });
  };
  view.figures = el("section", { class: "tiles", "aria-label": "Figures of the fleet" });
  view.problems = problemsCard(filterBy);
  view.heat = heatCard(view.options, {
    figure: (heat) => change(view, { heat }), range: (range) => change(view, { range }), open: navigate,
  });
  view.list = listCard(view, (patch) => change(view, patch));
  view.below = el("div");
  view.body = div("fleet-page", view.figures,
    div("fleet-middle", view.problems.element, view.heat.element), view.list.element);
  view.filterBy = filterBy;
  replace(root, el("h1", { class: "unseen" }, "Fleet"), view.below, view.body);
  const stop = store.subscribe(() => redraw(view));
  redraw(view);
  return {
    update(next) {
      view.options = readOptions(next.query);
      adopt(view);
    },
    unmount() {
      stop();
      clearTimeout(view.timer);
      view.control.abort();
      view.list.stop();
      view.heat.stop();
    },
  };
}

function readOptions({ q = "", sort = "state", group = "", heat = HEATS[0][0], range = "", columns = "" }) {
  const known = HEATS.some(([name]) => name === heat) ? heat : HEATS[0][0];
  return { q, sort, group, heat: known, range: rangeOf(range)[0], columns };
}

/** Take a change of what is shown, and put it into the address; what is usual is left out there. */
function change(view, patch) {
  view.options = { ...view.options, ...patch };
  clearTimeout(view.timer);
  view.timer = setTimeout(() => {
    const { q, sort, group, heat, range, columns } = view.options;
    replaceQuery({
      q, sort: sort === "state" ? "" : sort, group, heat: heat === HEATS[0][0] ? "" : heat,
      range: range === "15m" ? "" : range, columns,
    });
  }, ADDRESS_AFTER_MS);
  adopt(view);
}

function adopt(view) {
  view.heat.set(view.options);
  view.list.set(view.options);
  if (view.history.name !== view.options.heat || view.history.range !== view.options.range) view.read_at = -Infinity;
  redraw(view);
}

function redraw(view) {
  const { store, figures, problems, series } = view;
  const { fleet } = store.get();
  const began_at = performance.now();
  view.body.hidden = drawBelow(view.below, fleet, whyNot(store.get()));
  if (view.body.hidden) return;
  if (view.drawn !== fleet || view.drawnSeries !== series) drawFigures(figures, fleet, series, view.filterBy);
  problems.draw(fleet);
  const nodes = view.list.draw(fleet);
  // While the strip waits for another figure, it shows the one that it has.
  view.heat.draw(nodes, view.history);
  Object.assign(view, { drawn: fleet, drawnSeries: series });
  tell(began_at);
  readHistory(view, fleet);
}

/** Leave how long it took for who measures the page. */
function tell(began_at) {
  if (!performance.getEntriesByName("fleet-first-row").length) performance.mark("fleet-first-row");
  performance.clearMeasures("fleet-draw");
  performance.measure("fleet-draw", { start: began_at });
}

/** Read what is new of the history: once for each snapshot, less often where steps are long. */
async function readHistory(view, { taken_at, interval_s }) {
  const { options: { heat, range }, control: { signal } } = view;
  const every_s = range === "15m" ? interval_s : COARSE_EVERY_S;
  if (view.reading || taken_at - view.read_at < every_s * 0.9) return;
  view.reading = true;
  view.read_at = taken_at;
  const sparkName = heat === "level" ? HEATS[0][0] : heat;
  try {
    const [, series] = await Promise.all([view.history.read(heat, range, signal), readTotals(range, signal)]);
    if (heat === "level") await view.spark.read(sparkName, range, signal);
    view.series = series;
    view.trend = heat === "level" ? view.spark : view.history;
    view.heat.fail(null);
  } catch (error) {
    if (!signal.aborted && error.kind !== "gone") view.heat.fail(error);
    if (!error.kind) throw error;
  } finally {
    view.reading = false;
  }
  if (!signal.aborted) redraw(view);
}

/** Say how nodes are added, where there are none. */
async function teach(below, shape, forbidden) {
  const { emptyFleet } = await import("./fleet-empty.js");
  if (below.shape === shape) replace(below, emptyFleet(forbidden));
}

/** What is said while there is no list; true if there is none. */
function drawBelow(below, { state, reason, nodes, proxies, listed, entries }, forbidden) {
  const isListed = nodes.length || entries.length || proxies.some((proxy) => !proxy.local);
  const empty = state === "ready" && listed && !isListed;
  const shape = `${state} ${reason} ${empty} ${forbidden}`;
  if (below.shape !== shape) {
    below.shape = shape;
    replace(below,
      state === "loading" && para("loading", "Reading the fleet …"),
      state === "failed" && notice("bad", "The fleet could not be read", reason));
    if (empty) teach(below, shape, forbidden);
  }
  return state !== "ready" || empty;
}

