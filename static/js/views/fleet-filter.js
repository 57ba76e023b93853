// SPDX-License-Identifier: Apache-2.0
// The filter of the node list: words and `state: kind: version: env:` terms, all of which must hold. Pure.
// The server has the same filter without `env:`, `traffic:`, `problem:` and `-`; a word may be quoted.

import { KIND_NAMES } from "../nodes.js";

/** The terms, for those who type: `[example, what it finds]`. */
export const TERMS = [
  ["worker7", "a part of the name, proxy, address, instance or kind"],
  ["state:degraded", "unreachable, degraded, answering, serving or healthy"],
  ["kind:mp", "worker, scheduler, mp, coordinator, controller, frontend"],
  ["version:0.5.6", "releases that begin so"],
  ["proxy:rack-b", "nodes behind that frontend"],
  ["instance:llama", "nodes of that engine instance"],
  ["label:zone=a", "nodes with that label; label:zone with any value"],
  ["env:TAG=x", "asks the nodes for their environment; env:TAG with any value"],
  ["traffic:none", "nodes that nobody asks for anything"],
  ["problem:tier_full", "nodes with such a problem"],
  ["-state:healthy", "all that the term does not find"],
];

const TESTS = {
  state: (value) => (node) => node.level.startsWith(value.toLowerCase()),
  kind: (value) => (node) => [node.kind, node.role].includes(value.toLowerCase()),
  version: (value) => (node) => (node.version ?? "").startsWith(value),
  proxy: (value) => (node) => node.proxy === value,
  instance: (value) => (node) => (node.instance ?? "").startsWith(value),
  label: labelled,
  traffic: (value) => (node) => isIdle(node) === (value.toLowerCase() === "none"),
  problem: (value) => (node, { problems }) => Boolean(problems.get(node.key)?.has(value)),
  env: (value) => (node, { environments }) => environments.get(value)?.nodes?.has(node.key) ?? false,
};

/**
 * Read a filter: `{accepts(node, known), env}`. `known` is `{problems: Map(key -> Set of codes), environments:
 * Map(value -> {nodes: Set of keys})}`; `env` are the values of `env:` terms, which are to be asked for.
 */
export function parseFilter(text) {
  const terms = wordsOf(text).map(termOf);
  return {
    accepts: (node, known) => terms.every(({ test, not }) => test(node, known) !== not),
    env: terms.filter(({ name }) => name === "env").map(({ value }) => value),
  };
}

/** Whether nothing is asked of a node that could be asked for something. */
export function isIdle(node) {
  return (node.figures.tokens_requested_per_s ?? node.figures.lookups_per_s)?.state === "no_traffic"
    && node.level !== "unreachable" && node.kind !== "scheduler";
}

/** A filter with one term more, or without it if it has it. */
export function toggled(text, term) {
  const words = wordsOf(text);
  const rest = words.filter((word) => word !== term);
  return (rest.length < words.length ? rest : [...words, term]).join(" ");
}

function wordsOf(text) {
  return text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
}

function termOf(word) {
  const not = word.startsWith("-") && word.length > 1;
  const plain = (not ? word.slice(1) : word).replaceAll('"', "");
  const [name, value] = split(plain);
  const isTerm = Object.hasOwn(TESTS, name ?? "");
  // A term that is being typed narrows nothing yet.
  if (isTerm && !value) return { name: null, value, not: false, test: () => true };
  // A word with a colon that is no term is looked for as it stands: addresses have colons.
  const test = isTerm ? TESTS[name](value) : containing(plain.toLowerCase());
  return { name: isTerm ? name : null, value, not, test };
}

function split(text) {
  const colon = text.indexOf(":");
  return colon < 0 ? [null, ""] : [text.slice(0, colon).toLowerCase(), text.slice(colon + 1)];
}

function labelled(value) {
  const [name, wanted] = value.split(/=(.*)/s);
  return ({ labels = {} }) => Object.hasOwn(labels, name) && (wanted === undefined || labels[name] === wanted);
}

function containing(word) {
  return ({ key, address, instance, kind }) =>
    `${key}\n${address}\n${instance ?? ""}\n${KIND_NAMES[kind] ?? kind}\n${kind}`.toLowerCase().includes(word);
}
