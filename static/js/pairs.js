// SPDX-License-Identifier: Apache-2.0
// A searchable list of keys and values whose secrets stay masked until they are asked for.

import { copyButton } from "./copying.js";
import { append, div, setAttribute, span } from "./dom.js";
import { count, literal, show } from "./format.js";
import { isMasked, MASK, masked } from "./masking.js";
import { button, data, filterable, listCard, ofAll, table } from "./widgets.js";

/**
 * Show `pairs` of key and value. `memory` outlives a redraw; `noun` names one of them; `extra` goes beside the search
 * field, `accepts(key)` leaves some out. Gives `{parts, redraw}`.
 */
export function pairList(memory, label, noun, pairs, options = {}) {
  const { extra = null, accepts: takes = () => true, names = ["Key", "Value"] } = options;
  memory.bared ??= new Set();
  const list = filterable(memory, label, (accepts) => {
    const some = pairs.filter(([key, value]) => takes(key) && accepts(`${key} ${shown(memory, key, value)}`));
    const { element, body, row } = table(label, [[names[0], "col-key"], [names[1], "col-value"]]);
    append(body, some.map(([key, value]) => row([data(key), valueCell(memory, key, value)], { dataset: { key } })));
    return {
      text: ofAll(some.length, pairs.length, noun), content: listCard(element),
      none: some.length === 0 && (pairs.length ? `No ${noun} matches.` : `There is no ${noun}.`),
    };
  }, extra, pairs.length > 0 && copyButton("Copy", () => textOf(pairs),
    { title: `Copies ${count(pairs.length, noun)} as JSON, the secrets masked` }));
  return list;
}

/** A masked value is not searched: a search must not give it away letter by letter. */
function shown({ bared }, key, value) {
  return show(bared.has(key) ? value : masked(key, value));
}

function valueCell(memory, key, value) {
  if (!isMasked(key, value)) return data(show(value));
  const place = span("secret");
  const draw = () => {
    const isBare = memory.bared.has(key);
    const text = shown(memory, key, value);
    const toggle = button(isBare ? "Hide" : "Show", () => {
      if (!memory.bared.delete(key)) memory.bared.add(key);
      draw().focus();
    }, { class: "small", "aria-label": `${isBare ? "Hide" : "Show"} the value of ${key}` });
    place.replaceChildren();
    const veil = () => span("mask", "••••••••", span("unseen", "masked"));
    append(place, text === MASK ? veil() : data(text), toggle);
    return toggle;
  };
  draw();
  return place;
}

function textOf(pairs) {
  const lines = pairs.map(([key, value]) => `  ${JSON.stringify(key)}: ${literal(masked(key, value))}`);
  return `{\n${lines.join(",\n")}\n}`;
}

/** Buttons that show one group each: `groups` are `[id, words]`. Gives `{element, draw}`; `draw()` marks the chosen. */
export function chips(label, groups, chosen, choose) {
  const buttons = groups.map(([id, words]) => button(words, () => {
    choose(chosen() === id ? null : id);
    draw();
  }, { class: "small" }));
  const draw = () => {
    for (const [index, [id]] of groups.entries()) setAttribute(buttons[index], "aria-pressed", String(id === chosen()));
  };
  draw();
  return { element: div("inline chips", span("unseen", label), buttons), draw };
}
