// SPDX-License-Identifier: Apache-2.0
// A chart of lines over time, on a canvas; its legend says in words the newest values, or those at the cursor.

import { keepDrawn } from "./canvas.js";
import { div, el, keyed, para, setAttribute, setText, span, svg } from "./dom.js";
import { clock, shortClock, utc } from "./format.js";
import { axis, runsOf, timeTicks } from "./scale.js";

const PAD = { left: 56, right: 10, top: 8, bottom: 20 };
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4]];
// For how many steps a value is the newest one, and how far from the pointer it is still the nearest, in pixels.
const FRESH_STEPS = 3;
const REACH = 16;

/** A cursor for charts to share: the time that is read out (seconds since the epoch), or null. */
export function createCursor() {
  const hearers = new Set();
  const cursor = { time: null, listen: (hear) => { hearers.add(hear); return () => hearers.delete(hear); } };
  return Object.assign(cursor, { set(time) { cursor.time = time; for (const hear of hearers) hear(); } });
}

/**
 * Draw lines over time in `root`. Each of `series` is `{name, values, colour}`: null for a gap, a token for the colour.
 * The first value is of the step of `step_s` seconds that begins at `start`. `marks` are `{name, value}`, levels drawn
 * across; `max` ends the axis, which begins at zero unless `from_zero` is false; `unit` stands behind the title and is
 * "bytes" for binary steps; `format(value)`, and `axisFormat(value)` at the axis, put a value in words; `none` is said
 * where there are no values. Gives `{element, update(data), paint(), destroy()}`.
 */
export function lineChart(root, { cursor = createCursor(), ...given }) {
  const chart = {
    cursor, name: span(""), unit: span("chart-unit"), time: span("chart-time"),
    legend: el("dl", { class: "chart-legend" }), width: 0, height: 0,
    none: para("chart-none"), line: span("chart-cursor"), dots: div("chart-dots"),
    data: { marks: [], unit: "", none: "No values in this time", ...given },
  };
  const canvas = el("canvas", { class: "chart-canvas", "aria-hidden": "true" });
  chart.plot = el("div", { class: "chart-plot", tabindex: "0", role: "slider", "aria-valuemin": "0" },
    canvas, chart.line, chart.dots, chart.none);
  const element = el("section", { class: "chart card" },
    el("header", { class: "chart-head" }, el("h3", {}, chart.name, chart.unit), chart.time), chart.legend, chart.plot);
  const { redraw, paint, stop } = keepDrawn(canvas, (context, screen) => draw(chart, context, screen));
  const deafen = cursor.listen(() => readOut(chart));
  const update = (next) => { Object.assign(chart.data, next); refresh(chart); redraw(); };
  listen(chart);
  update({});
  root.append(element);
  return { element, update, paint, destroy() { deafen(); stop(); element.remove(); } };
}

function refresh(chart) {
  const { title, unit, series, step_s, start, marks, none } = chart.data;
  const values = series.flatMap((one) => one.values.filter((value) => value !== null));
  const steps = series[0]?.values.length ?? 0;
  Object.assign(chart, { steps, end: start + steps * step_s, isEmpty: values.length === 0 });
  chart.axis = axis(chart.isEmpty ? [] : values.concat(marks.map((mark) => mark.value)), chart.data);
  setText(chart.name, title);
  setText(chart.unit, unit === "bytes" ? "" : unit);
  setText(chart.none, chart.isEmpty ? none : "");
  setAttribute(chart.plot, "aria-label", `${title} ${unit}: time`);
  setAttribute(chart.plot, "aria-valuemax", Math.max(0, steps - 1));
  const lines = series.map((one, place) => ({ ...one, dash: DASHES[place % DASHES.length].join(" ") }));
  const keyOf = ({ name, colour, dash }) => `${name} ${colour} ${dash}`;
  keyed(chart.legend, lines, keyOf, { update() {}, make: legendEntry });
  keyed(chart.dots, lines, keyOf, { update() {}, make: ({ colour }) => tinted(span("chart-dot"), colour) });
  readOut(chart);
}

const styled = (element, name, value) => { element.style.setProperty(name, value); return element; };
const tinted = (element, token) => styled(element, "color", `var(${token})`);
const move = (element, left, top) => styled(element, "transform", `translate(${left}px, ${top}px)`);

function legendEntry({ name, colour, dash }) {
  const line = svg("path", { d: "M0 4h18", "stroke-dasharray": dash || null });
  const swatch = svg("svg", { class: "chart-swatch", viewBox: "0 0 18 8", "aria-hidden": "true" }, line);
  return el("div", {}, el("dt", {}, tinted(swatch, colour), el("bdi", { title: name }, name)), el("dd"));
}

/** The place of a step, of which 0 is the first, and of a value. */
const x = ({ steps, width }, index) => PAD.left + ((index + 0.5) / steps) * (width - PAD.left - PAD.right);
const y = ({ axis: { low, high }, height }, value) =>
  height - PAD.bottom - ((value - low) / (high - low)) * (height - PAD.top - PAD.bottom);
const hasValue = ({ data: { series } }, index) => series.some(({ values }) => (values[index] ?? null) !== null);

/** The nearest step with a value that is at most `reach` steps away, else the step itself. */
function nearest(chart, index, reach) {
  for (let away = 0; away <= reach; away += 1) {
    for (const one of [index - away, index + away]) if (hasValue(chart, one)) return one;
  }
  return index;
}

/** Say the values at the cursor, or else the newest ones, and mark their places. */
function readOut(chart) {
  const { cursor: { time }, plot, steps, data: { series, start, step_s, format } } = chart;
  const isOn = time !== null && time >= start && time < chart.end;
  const index = isOn ? Math.floor((time - start) / step_s) : nearest(chart, steps - 1, FRESH_STEPS);
  const said = series.map(({ name, values }, place) => {
    const value = values[index] ?? null;
    const [word, dot] = [chart.legend.children[place].lastChild, chart.dots.children[place]];
    setText(word, value === null ? "–" : format(value));
    setAttribute(word, "title", value);
    dot.hidden = !isOn || value === null;
    if (!dot.hidden) move(dot, x(chart, index), y(chart, value));
    return `${name} ${value === null ? "no value" : format(value)}`;
  });
  chart.line.hidden = !isOn;
  move(chart.line, x(chart, index), 0);
  const at = start + index * step_s;
  const when = step_s < 60 ? clock(at) : `${shortClock(at)} – ${shortClock(at + step_s)}`;
  setText(chart.time, isOn ? when : "");
  setAttribute(chart.time, "title", isOn ? utc(at) : null);
  setAttribute(plot, "aria-valuenow", Math.max(0, index));
  setAttribute(plot, "aria-valuetext", index < 0 ? "no values" : `${when}: ${said.join(", ")}`);
}

function listen(chart) {
  const { plot, cursor } = chart;
  const within = (index) => Math.min(chart.steps - 1, Math.max(0, index));
  const go = (index) => cursor.set(chart.data.start + (within(index) + 0.5) * chart.data.step_s);
  const point = ({ clientX }) => {
    const width = (chart.width - PAD.left - PAD.right) / chart.steps;
    const index = Math.floor((clientX - plot.getBoundingClientRect().left - PAD.left) / width);
    go(nearest(chart, index, Math.floor(REACH / width)));
  };
  for (const type of ["pointermove", "pointerdown"]) plot.addEventListener(type, point);
  // A finger that is lifted leaves the reading where it was.
  plot.addEventListener("pointerleave", ({ pointerType }) => { if (pointerType === "mouse") cursor.set(null); });
  plot.addEventListener("blur", () => cursor.set(null));
  plot.addEventListener("keydown", (event) => {
    const [at, last] = [Number(plot.getAttribute("aria-valuenow")), chart.steps - 1];
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at + 10, PageDown: at - 10, Home: 0, End: last };
    const to = steps[event.key];
    if (to === undefined && event.key !== "Escape") return;
    event.preventDefault();
    if (to === undefined) cursor.set(null);
    else go(to);
  });
}

function draw(chart, context, { width, height, colour }) {
  const { isEmpty, data: { series, marks } } = chart;
  Object.assign(chart, { width, height });
  Object.assign(context, { lineJoin: "round", textBaseline: "middle" });
  drawGrid(chart, context, colour);
  for (const [place, { values, colour: token }] of isEmpty ? [] : series.entries()) {
    context.strokeStyle = context.fillStyle = colour(token);
    drawLine(chart, context, values, DASHES[place % DASHES.length]);
  }
  context.textAlign = "left";
  for (const { name, value } of isEmpty ? [] : marks) {
    const at = Math.round(y(chart, value)) + 0.5;
    context.strokeStyle = context.fillStyle = colour("--warn");
    stroke(context, [PAD.left, at, width - PAD.right, at], 1, [4, 3]);
    // The words are kept clear of the lines behind them.
    Object.assign(context, { strokeStyle: colour("--surface"), lineWidth: 4 });
    for (const way of ["strokeText", "fillText"]) context[way](name, PAD.left + 6, at + (at < PAD.top + 14 ? 10 : -9));
  }
}

function drawGrid(chart, context, colour) {
  const { width, height, steps, end, data: { start, axisFormat, format } } = chart;
  const [bottom, across] = [height - PAD.bottom, width - PAD.left - PAD.right];
  const missing = chart.isEmpty ? [] : Array.from({ length: steps }, (_none, at) => (hasValue(chart, at) ? null : 0));
  context.fillStyle = colour("--chart-gap");
  for (const [first, last] of runsOf(missing)) {
    // That the newest value is not there yet is no gap.
    if (first >= steps - FRESH_STEPS) continue;
    const [left, right] = [first, last + 1].map((at) => PAD.left + (at / steps) * across);
    context.fillRect(left, PAD.top, right - left, bottom - PAD.top);
  }
  Object.assign(context, { strokeStyle: colour("--line"), fillStyle: colour("--muted"), textAlign: "right" });
  for (const mark of chart.axis.marks.slice(0, chart.isEmpty ? 1 : undefined)) {
    const at = Math.round(y(chart, mark)) + 0.5;
    stroke(context, [PAD.left, at, width - PAD.right, at], 1);
    if (!chart.isEmpty) context.fillText((axisFormat ?? format)(mark), PAD.left - 6, at);
  }
  context.textAlign = "center";
  for (const time of timeTicks(start, end, Math.max(2, Math.floor(across / 70)))) {
    const at = Math.round(PAD.left + ((time - start) / (end - start)) * across) + 0.5;
    stroke(context, [at, bottom, at, bottom + 4], 1);
    if (at < width - 18) context.fillText(shortClock(time, end - start < 300), at, bottom + 12);
  }
}

/** Draw a series: lines between gaps, a dot for a lone value, the area below where there is no other series. */
function drawLine(chart, context, values, dash) {
  for (const [first, last] of runsOf(values)) {
    const points = [];
    for (let index = first; index <= last; index += 1) points.push(x(chart, index), y(chart, values[index]));
    stroke(context, points, 1.75, dash);
    const isDot = first === last;
    if (!isDot && chart.data.series.length > 1) continue;
    if (isDot) context.arc(points[0], points[1], 2, 0, 2 * Math.PI);
    else for (const index of [last, first]) context.lineTo(x(chart, index), chart.height - PAD.bottom);
    context.globalAlpha = isDot ? 1 : 0.1;
    context.fill();
    context.globalAlpha = 1;
  }
}

function stroke(context, points, width, dash = []) {
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  for (let index = 0; index < points.length; index += 2) context.lineTo(points[index], points[index + 1]);
  context.stroke();
  context.setLineDash([]);
}
