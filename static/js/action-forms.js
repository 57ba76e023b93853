// SPDX-License-Identifier: Apache-2.0
// The actions there are: what each is called and does, and the fields for its arguments.
// `form(given)` of an action gives `{parts, read}`; `read()` gives the arguments, and raises Error in words for people.

import { requestJson } from "./api.js";
import { append, div, el, replace, setAttribute, setText } from "./dom.js";
import { show } from "./format.js";
import { AS_TYPED, button, data } from "./widgets.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "NOTSET"];
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/** Each action by its name: `{title, verb, text, form, confirm}`; `confirm` is a word to be typed before it is done. */
export const ACTIONS = {
  loglevel: {
    title: "Set a log level", verb: "Set the level",
    text: "The level is the logger's own; NOTSET means that it follows its parent. It holds until the node restarts.",
    form: ({ logger = "lmcache", level = "DEBUG" }) => {
      const name = input("Logger", { value: logger, required: true });
      const choice = choose("Level", LEVELS, level);
      return { parts: [name.field, choice.field], read: () => ({ logger: name.value(), level: choice.value() }) };
    },
  },
  conf: {
    title: "Change configuration", verb: "Change it",
    text: "Values of the running process; what reads a value only at start does not notice. It holds until the node "
      + "restarts.",
    form: confForm,
  },
  freeze: {
    title: "Freeze the cache", verb: "Do it",
    text: "A frozen cache stores nothing more; what is in it can still be found.",
    form: onOff("Frozen", "Freeze: store nothing more", "Let go on: store again"),
  },
  hot_cache: {
    title: "Hot cache in memory", verb: "Do it", text: "Whether chunks are kept in CPU memory as well.",
    form: onOff("Hot cache", "Use it", "Do not use it"),
  },
  bypass: {
    title: "Pass a backend by", verb: "Do it", text: "A backend that is passed by is neither asked nor written to.",
    form: ({ backend = "", bypassed = true }) => {
      const name = input("Backend", { value: backend, required: true, placeholder: "LocalDiskBackend" });
      const choice = yesNo("Passed by", "Pass it by", "Use it again", bypassed);
      return { parts: [name.field, choice.field], read: () => ({ backend: name.value(), bypassed: choice.value() }) };
    },
  },
  backend: {
    title: "Storage backends", verb: "Do it",
    text: "Create makes every configured backend that is missing; close and recreate need the name of one.",
    form: ({ operation = "create", name = "" }) => {
      const choice = choose("Operation", ["create", "close", "recreate"], operation);
      const field = input("Backend", { value: name, placeholder: "LocalDiskBackend" });
      return {
        parts: [choice.field, field.field],
        read() {
          if (choice.value() !== "create" && !field.value()) throw new Error("Say which backend.");
          return { operation: choice.value(), ...(field.value() && { name: field.value() }) };
        },
      };
    },
  },
  cache_clear: {
    title: "Clear the cache", verb: "Clear it", confirm: "clear",
    text: "What is cached is gone and has to be computed again. What is in use stays.",
    form: ({ locations = [] }) => {
      const field = input("Locations, with commas; all if empty", {
        value: locations.join(", "), placeholder: "LocalCPUBackend",
      });
      const listed = () => field.value().split(",").map((word) => word.trim()).filter(Boolean);
      return { parts: [field.field], read: () => (listed().length ? { locations: listed() } : {}) };
    },
  },
  metrics_reset: {
    title: "Reset metrics", verb: "Reset them", text: "Counters and histograms begin at zero again.",
    form: () => ({ parts: [], read: () => ({}) }),
  },
  run_script: {
    title: "Run a script", verb: "Run it", confirm: "run",
    text: "Python that is run in the node's own process, with all that it may do. Nodes have this off unless told.",
    form: ({ script = "" }) => {
      const field = area("Script", script);
      return { parts: [field.field], read: () => ({ script: field.value() }) };
    },
  },
  request: {
    title: "Send a request", verb: "Send it", text: "Any request to the node's own API.",
    form: ({ method = "GET", path = "/", body = "" }) => {
      const choice = choose("Method", METHODS, method);
      const where = input("Path", { value: path, required: true, pattern: "/.*" });
      const content = area("Body", body ?? "", false);
      return {
        parts: [choice.field, where.field, content.field],
        read: () => ({
          method: choice.value(), path: where.value(), body: content.value() || null,
          headers: content.value() ? { "Content-Type": "application/json" } : {},
        }),
      };
    },
  },
};

let fields = 0;

function labelled(label, control) {
  control.id = `action-field-${fields += 1}`;
  return div("field", el("label", { for: control.id }, label), control);
}

function input(label, attributes) {
  const control = el("input", { type: "text", ...AS_TYPED, ...attributes });
  return { field: labelled(label, control), value: () => control.value.trim(), control };
}

function area(label, value, required = true) {
  const control = el("textarea", { rows: "6", class: "code", value, required, ...AS_TYPED });
  return { field: labelled(label, control), value: () => control.value };
}

function choose(label, words, value) {
  const control = el("select", {}, words.map((word) => el("option", {}, word)));
  control.value = value;
  return { field: labelled(label, control), value: () => control.value };
}

function yesNo(label, yes, no, value) {
  const control = el("select", {}, el("option", { value: "yes" }, yes), el("option", { value: "no" }, no));
  control.value = value ? "yes" : "no";
  return { field: labelled(label, control), value: () => control.value === "yes" };
}

function onOff(label, yes, no) {
  return ({ enabled = true }) => {
    const choice = yesNo(label, yes, no, enabled);
    return { parts: [choice.field], read: () => ({ enabled: choice.value() }) };
  };
}

/** Lines of key and value; the catalogue, once it is there, suggests keys, says what they mean, and tells types. */
function confForm({ values = {} }) {
  const known = new Map();
  const list = el("datalist", { id: "action-conf-keys" });
  const lines = div("conf-lines");
  const add = (key = "", value = "") => lines.append(confLine(known, key, value));
  for (const [key, value] of Object.entries(values)) add(key, show(value));
  if (!lines.children.length) add();
  requestJson("api/config/catalogue").then(({ keys }) => {
    for (const entry of keys) known.set(entry.key, entry);
    append(list, keys.map(({ key, meaning }) => el("option", { value: key, label: meaning })));
    for (const line of lines.children) line.explain();
  }, () => { /* Without the catalogue, keys are typed unaided. */ });
  const more = () => {
    add();
    lines.lastChild.firstChild.focus();
  };
  return {
    parts: [list, lines, button("One more key", more, { class: "small" })],
    read() {
      const pairs = [...lines.children].map((line) => line.read()).filter(Boolean);
      if (!pairs.length) throw new Error("Name at least one key.");
      return { values: Object.fromEntries(pairs) };
    },
  };
}

function confLine(known, key, value) {
  const name = el("input", {
    type: "text", list: "action-conf-keys", value: key, placeholder: "key", "aria-label": "Key", ...AS_TYPED,
    on: { input: () => line.explain() },
  });
  const field = el("input", { type: "text", value, placeholder: "value", "aria-label": "Value", ...AS_TYPED });
  const meaning = el("p", { class: "tally" });
  const line = div("conf-line", name, field, meaning);
  line.explain = () => {
    const entry = known.get(name.value.trim());
    replace(meaning, entry && [entry.meaning, " ", data(`${entry.type}, default ${show(entry.default)}`)]);
    setAttribute(field, "placeholder", entry ? show(entry.default) : "value");
  };
  line.read = () => {
    const wanted = name.value.trim();
    return wanted ? [wanted, typed(field.value.trim(), known.get(wanted)?.type, wanted)] : null;
  };
  line.explain();
  return line;
}

/** A text as a value of a type of the catalogue. Raises Error where it is none. */
function typed(text, type = "", key = "") {
  const plain = type.replace(/\?$/, "");
  if (text === "null" || (text === "" && type.endsWith("?"))) return null;
  if (plain === "str") return text;
  if (plain === "bool") {
    const known = { true: true, false: false }[text.toLowerCase()];
    if (known === undefined) throw new Error(`${key} takes true or false, not ${text || "nothing"}.`);
    return known;
  }
  if (plain === "int" || plain === "float") {
    const value = Number(text);
    if (text === "" || !Number.isFinite(value)) throw new Error(`${key} takes a number, not ${text || "nothing"}.`);
    return value;
  }
  try {
    return JSON.parse(text);
  } catch {
    if (plain) throw new Error(`${key} takes a ${plain} as JSON.`);
    return text;
  }
}

/** Say in words what an action is to do, for a head. */
export function describeNodes(element, keys) {
  const some = keys.slice(0, keys.length > 4 ? 3 : 4).map((key) => key.slice(0, 80)).join(", ");
  setText(element, keys.length > 4 ? `${some} and ${keys.length - 3} more` : some);
}
