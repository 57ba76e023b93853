// SPDX-License-Identifier: Apache-2.0
// A searchable list of keys and values whose secrets stay masked until they are asked for.

import { needing } from "./access.js";
import { copyButton } from "./copying.js";
import { append, div, setAttribute, setText, span } from "./dom.js";
import { count, literal, show } from "./format.js";
import { holdsMask, isMasked, MASK, masked } from "./masking.js";
import { button, data, filterable, listCard, ofAll, table } from "./widgets.js";

/**
 * Show `pairs` of key and value. `memory` outlives a redraw; `noun` names one of them; `extra` goes beside the search
 * field, `accepts(key)` leaves some out, `reveal()` reads the pairs with nothing masked. Gives `{parts, redraw}`.
 */
export function pairList(memory, label, noun, pairs, options = {}) {
  const { extra = null, accepts: takes = () => true, names = ["Key", "Value"], reveal = null } = options;
  memory.bared ??= new Set();
  // What was shown in clear may be something else by now.
  memory.inClear = null;
  memory.bared.clear();
  const list = filterable(memory, label, (accepts) => {
    const some = pairs.filter(([key, value]) => takes(key) && accepts(`${key} ${shown(memory, key, value)}`));
    const { element, body, row } = table(label, [[names[0], "col-key"], [names[1], "col-value"]]);
    append(body, some.map(([key, value]) =>
      row([data(key), valueCell(memory, key, value, reveal)], { dataset: { key } })));
    return {
      text: ofAll(some.length, pairs.length, noun), content: listCard(element),
      none: some.length === 0 && (pairs.length ? `No ${noun} matches.` : `There is no ${noun}.`),
    };
  }, extra, pairs.length > 0 && copyButton("Copy", () => textOf(pairs),
    { title: `Copies ${count(pairs.length, noun)} as JSON, the secrets masked` }));
  return list;
}

/** A masked value is not searched: a search must not give it away letter by letter. */
function shown({ bared, inClear }, key, value) {
  if (!bared.has(key) || (holdsMask(value) && !inClear)) return show(masked(key, value));
  return show(holdsMask(value) ? inClear.get(key) : value);
}

function valueCell(memory, key, value, reveal) {
  const isHeldBack = holdsMask(value);
  if (!isHeldBack && !isMasked(key, value)) return data(show(value));
  const place = span("secret");
  const said = span("problem");
  const toggled = async () => {
    const isBare = memory.bared.delete(key);
    try {
      if (!isBare && isHeldBack) memory.inClear ??= new Map(await reveal());
      if (!isBare) memory.bared.add(key);
      setText(said, "");
    } catch (error) {
      if (error.kind !== "aborted") setText(said, error.message);
    }
    draw().focus();
  };
  const draw = () => {
    const isBare = memory.bared.has(key);
    const text = shown(memory, key, value);
    const toggle = button(isBare ? "Hide" : "Show", toggled, {
      class: "small", "aria-label": `${isBare ? "Hide" : "Show"} the value of ${key}`,
      ...(isHeldBack && needing("secrets")),
    });
    place.replaceChildren();
    const veil = () => span("mask", "••••••••", span("unseen", "masked"));
    append(place, text === MASK ? veil() : data(text), toggle, said);
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
