// SPDX-License-Identifier: Apache-2.0
// The only place that makes elements. Text goes in as text nodes, so nothing a node says is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";
const AS_PROPERTY = new Set(["value", "checked", "disabled", "hidden", "open", "required"]);

/** Make an element. `attributes.on` holds listeners, `.dataset` data attributes; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The commonest elements: a class and children. */
export const div = (style, ...children) => el("div", { class: style }, children);
export const para = (style, ...children) => el("p", { class: style }, children);
export const span = (style, ...children) => el("span", { class: style }, children);

/** Make an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Append strings, numbers, nodes and (nested) lists of them; null, undefined and false are left out. */
export function append(parent, ...children) {
  for (const child of children.flat(Infinity)) {
    if (!isNothing(child)) parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
}

/** Put `children` in place of everything in `parent`. */
export function replace(parent, ...children) {
  parent.replaceChildren();
  return append(parent, ...children);
}

/** Set an element's text, touching the page only if it differs (a reader's selection survives). */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Set or take away one attribute. */
export function setAttribute(element, name, value) {
  if (isNothing(value)) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/**
 * Bring the children of `parent` in line with `items`, keeping the element of each key.
 * `make(item)` gives a new element, `update(element, item)` refreshes one.
 */
export function keyed(parent, items, keyOf, { make, update }) {
  const known = parent.keyedChildren ?? new Map();
  const next = new Map();
  let cursor = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const element = known.get(key) ?? make(item);
    next.set(key, element);
    update(element, item);
    if (element === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(element, cursor);
  }
  for (const [key, element] of known) if (!next.has(key)) element.remove();
  parent.keyedChildren = next;
}

function isNothing(value) {
  return value === null || value === undefined || value === false;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (isNothing(value)) continue;
    if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (AS_PROPERTY.has(name)) element[name] = value;
    else setAttribute(element, name, value);
  }
  return append(element, ...children);
}
