// SPDX-License-Identifier: Apache-2.0
// The parts of a rule that is edited: whom it is for, and what it sets. Each part is a row with what is said of it.

import { div, el, para, replace, setText, span } from "../dom.js";
import { isSecret } from "../masking.js";
import { OPERATORS, withId } from "../rules.js";
import { expected, fieldText, words } from "../settings.js";
import { AS_TYPED, button, icon, select } from "../widgets.js";

const KINDS = {
  app_id: {
    name: "Application", text: "is like one of", fresh: { text: "" }, once: true,
    hint: "Patterns with commas between them, such as chat, chat-*",
  },
  env: { name: "Variable", fresh: { name: "", operator: "glob", text: "", value: "", touched: true } },
  config: { name: "Setting", fresh: { name: "", operator: "equals", text: "", value: "", touched: true } },
  client: {
    name: "Address", text: "is in one of", fresh: { text: "" }, once: true,
    hint: "Networks with commas between them, such as 10.9.0.0/16; behind a reverse proxy it is that of the proxy",
  },
  rollout: { name: "Rollout", fresh: { text: "20", by: "" }, once: true },
};
const OVERRIDE = [["yes", "goes over the worker's own"], ["no", "only where it sets nothing"]];

/** The conditions of a rule with the means to add some; `changed()` is called whenever one is edited. */
export function conditionsEditor(view, draft, changed) {
  const list = el("ul", { class: "parts" });
  const adding = div("inline part-adding");
  const draw = () => {
    replace(list, draft.conditions.map((part) => conditionRow(view, part, changed, () => remove(part))));
    const has = (kind) => draft.conditions.some((part) => part.kind === kind);
    replace(adding, span("muted", draft.conditions.length ? "And:" : "Everybody. Only those with:"),
      Object.entries(KINDS).filter(([kind, { once }]) => !once || !has(kind)).map(([kind, { name }]) =>
        button(`+ ${name}`, () => add(kind), { class: "small", "aria-label": `Add a condition: ${name}` })));
  };
  const remove = (part) => {
    draft.conditions.splice(draft.conditions.indexOf(part), 1);
    draw();
    adding.querySelector("button")?.focus();
    changed();
  };
  const add = (kind) => {
    draft.conditions.push(withId({ kind, ...KINDS[kind].fresh }));
    draw();
    list.lastChild.querySelector("input")?.focus();
    changed();
  };
  draw();
  return [list, adding];
}

function conditionRow(view, part, changed, remove) {
  const { name } = KINDS[part.kind];
  const make = { env: askedFields, config: askedFields, rollout: rolloutFields }[part.kind] ?? listFields;
  const said = view.slot(part.id);
  const fields = make(view, part, changed);
  return el("li", { class: "part", dataset: { kind: part.kind, part: part.id } },
    span("part-kind", name), div("part-fields", fields),
    removeButton(`condition: ${name} ${part.name ?? ""}`, remove), said);
}

function removeButton(what, remove) {
  return button(icon("bad"), remove, { class: "bare", "aria-label": `Take out the ${what.trim()}`, title: "Take out" });
}

function listFields(view, part, changed) {
  const { name, text, hint } = KINDS[part.kind];
  const typed = () => {
    part.text = field.value;
    changed();
  };
  const field = view.field(part.id, el("input", {
    type: "text", class: "grow", "aria-label": `${name} ${text}`, value: part.text, ...AS_TYPED, on: { input: typed },
  }));
  return [span("muted", text), field, span("hint muted", hint)];
}

function rolloutFields(view, part, changed) {
  const typed = () => {
    Object.assign(part, { text: percent.value, by: by.value });
    changed();
  };
  const on = { input: typed };
  const percent = view.field(part.id, el("input", {
    type: "number", class: "short", min: "0", max: "100", step: "0.01", "aria-label": "Per cent of the workers",
    value: part.text, on,
  }));
  const by = el("input", {
    type: "text", list: "config-variables", "aria-label": "Variable that decides who is first", value: part.by,
    placeholder: "POD_NAME, else HOSTNAME", ...AS_TYPED, on,
  });
  return [percent, span("muted", "% of them, the first by"), by,
    span("hint muted", "The same ones at every start; whoever is within 20 % is within 30 %")];
}

function askedFields(view, part, changed) {
  const isSetting = part.kind === "config";
  const value = span("setting-field");
  const meaning = span("hint muted");
  const drawValue = () => {
    const bare = ["present", "absent"].includes(part.operator);
    const row = isSetting && part.operator === "equals" ? view.find(part.name) : { key: part.name, type: "str" };
    replace(value, !bare && valueField(view, part, row, changed));
    setText(meaning, isSetting ? meaningOf(view.find(part.name), part.name)
      : part.operator === "glob" ? "* stands for any text, ? for one character" : "");
  };
  const name = el("input", {
    type: "text", list: isSetting ? "config-keys" : "config-variables", value: part.name, ...AS_TYPED,
    "aria-label": isSetting ? "Setting that is asked for" : "Variable that is asked for",
    placeholder: isSetting ? "chunk_size" : "POD_NAME", on: { input() {
      part.name = name.value.trim();
      if (isSetting) part.touched = true;
      drawValue();
      changed();
    } },
  });
  const operator = select("How it is compared", OPERATORS[part.kind], part.operator, (chosen) => {
    Object.assign(part, { operator: chosen, touched: true, text: part.text ?? "" });
    drawValue();
    changed();
  });
  view.field(part.id, name);
  drawValue();
  return [name, operator, value, meaning];
}

/** The settings of a rule with the means to add some; `changed()` is called whenever one is edited. */
export function itemsEditor(view, draft, changed) {
  const list = el("ul", { class: "parts" });
  const draw = () => replace(list, draft.items.map((item) => itemRow(view, item, changed, () => remove(item))));
  const remove = (item) => {
    draft.items.splice(draft.items.indexOf(item), 1);
    draw();
    add.focus();
    changed();
  };
  const add = button("+ Setting", () => {
    draft.items.push(withId({ key: "", value: "", text: "", touched: true, override: true, fresh: true }));
    draw();
    list.lastChild.querySelector("input").focus();
    changed();
  }, { class: "small", "aria-label": "Add a setting" });
  draw();
  return [list, div("inline part-adding", add)];
}

function itemRow(view, item, changed, remove) {
  const value = span("setting-field");
  const meaning = span("hint muted");
  let drawn = null;
  const drawValue = () => {
    const row = view.find(item.key);
    setText(meaning, meaningOf(row, item.key));
    // A field that stays of its type stays: whoever is in it goes on.
    const shape = [row.type, row.nullable, row.choices, isSecret(item.key), item.fresh && row.known].join();
    if (shape === drawn && !item.fresh) return;
    drawn = shape;
    if (item.fresh) Object.assign(item, { text: row.known ? fieldText(row, row.fallback) : "", touched: true });
    replace(value, valueField(view, item, row, () => {
      item.fresh = false;
      changed();
    }));
  };
  const key = view.field(item.id, el("input", {
    type: "text", class: "mono", list: "config-keys", "aria-label": "Setting", placeholder: "chunk_size",
    value: item.key, ...AS_TYPED, on: { input() {
      item.key = key.value.trim();
      item.touched = true;
      drawValue();
      changed();
    } },
  }));
  const override = select("Whose value counts", OVERRIDE, item.override ? "yes" : "no", (chosen) => {
    item.override = chosen === "yes";
    changed();
  });
  drawValue();
  const said = view.slot(item.id);
  return el("li", { class: "part", dataset: { key: item.key, part: item.id } },
    div("part-fields", key, span("muted", "="), value, override, meaning),
    removeButton(`setting ${item.key}`, remove), said);
}

/** What a setting means, its default and what it takes, in a line. */
function meaningOf(row, key) {
  if (!key) return "";
  if (!row.known) return "LMCache's catalogue does not have this setting.";
  return `${row.meaning} Default ${words(row.fallback)}; takes ${expected(row)}; since ${row.since}.`;
}

/** A field that fits the type of a setting; what is typed goes into `part`. */
function valueField(view, part, row, changed) {
  const typed = () => {
    Object.assign(part, { text: nothing?.checked ? null : field.value, touched: true });
    changed();
  };
  const input = () => {
    // Who types something does not mean null.
    if (nothing) nothing.checked = false;
    typed();
  };
  const field = fieldOf(row, part.text ?? "", input, `Value of ${part.key ?? part.name}`);
  const mayBeNull = row.nullable && row.known && row.type !== "bool";
  const nothing = mayBeNull
    ? el("input", { type: "checkbox", checked: part.text === null, on: { change: typed } }) : null;
  if (part.key ?? part.name) view.field(part.id, field);
  // A choice shows something at once, and that is what is meant.
  if (field.tagName === "SELECT" && part.touched && part.text !== null) part.text = field.value;
  return [field, nothing && el("label", { class: "inline check" }, nothing, "null")];
}

function fieldOf(row, text, input, label) {
  const choices = row.type === "bool" ? ["true", "false"] : row.choices;
  if (choices) {
    const all = choices.includes(text) || text === "" ? choices : [text, ...choices];
    return select(label, all.map((choice) => [choice, choice]), text || all[0], input);
  }
  const common = { "aria-label": label, value: text, ...AS_TYPED, on: { input } };
  const veiled = isSecret(row.key) ? " veiled" : "";
  if (row.type === "dict" || text.includes("\n") || text.length > 80) {
    const lines = Math.min(12, Math.max(2, text.split("\n").length));
    return el("textarea", { ...common, rows: lines, class: `grow${veiled}` });
  }
  const mode = { int: "numeric", float: "decimal" }[row.type];
  return el("input", { type: "text", inputmode: mode, ...common, class: `mono${veiled}` });
}

/** Lists for completion: settings with their meanings, and the variables that are usual. */
export function completions(catalogue) {
  const usual = ["POD_NAME", "POD_NAMESPACE", "POD_IP", "HOSTNAME", "NODE_NAME"];
  return [
    el("datalist", { id: "config-keys" }, catalogue.map(({ key, meaning }) => el("option", { value: key }, meaning))),
    el("datalist", { id: "config-variables" }, usual.map((name) => el("option", { value: name }))),
  ];
}

/** What is said of a part, as lines with a mark each. */
export function saidLines(messages) {
  return messages.map(({ severity, text }) => para(`said-line state-${severity === "error" ? "bad" : "warn"}`,
    icon(severity === "error" ? "bad" : "warn"), el("span", {}, text)));
}
