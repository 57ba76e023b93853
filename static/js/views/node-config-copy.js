// SPDX-License-Identifier: Apache-2.0
// A node's configuration as a file or as variables, to take away.

import { needing } from "../access.js";
import { copyText } from "../copying.js";
import { div, el, setText, span } from "../dom.js";
import { holdsMask, isMasked, masked } from "../masking.js";
import { count } from "../format.js";
import { variablesText, yamlText } from "../settings.js";
import { dialog, select } from "../widgets.js";

/** Show the configuration as text and let it be copied; `reveal()` reads what is masked, and says whether it could. */
export function openCopy(view, reveal) {
  const { context } = view;
  const isMp = context.kind === "mp";
  const wanted = { form: "yaml", all: isMp, secrets: false };
  const area = el("textarea", { readonly: true, rows: 14, spellcheck: "false", "aria-label": "As text" });
  const shown = el("span", { class: "tally", role: "status" });
  const redraw = () => {
    const chosen = view.rows.filter((row) => wanted.all || row.changed || !row.known)
      .map((row) => (wanted.secrets ? row
        : { ...row, value: view.veils?.get(row.key) ?? masked(row.key, row.value) }));
    const text = wanted.form === "yaml" ? yamlText(pairsOf(chosen, isMp)) : variablesText(chosen);
    area.value = text || "# everything is at its default";
    setText(shown, count(chosen.length, "key"));
  };
  const check = (name, text, need = {}) => el("label", { class: "inline check" }, el("input", {
    type: "checkbox", ...need, on: { async change({ target }) {
      if (name === "secrets" && target.checked && !await reveal()) target.checked = false;
      wanted[name] = target.checked;
      redraw();
    } },
  }), text);
  const forms = select("Form", [["yaml", "YAML file"], ["variables", "LMCACHE_* variables"]], "yaml",
    (value) => { wanted.form = value; redraw(); });
  const copy = async () => {
    const ok = await copyText(area.value);
    setText(shown, ok ? "Copied to the clipboard" : "Could not copy: select the text and copy it");
    return false;
  };
  redraw();
  dialog("Copy the configuration", [
    div("inline copy-tools", !isMp && forms, !isMp && check("all", "with the defaults"),
      view.rows.some(({ key, value }) => isMasked(key, value) || holdsMask(value))
        && check("secrets", "with the secrets", needing("secrets")), shown),
    area,
  ], [{ text: "Close" }, { text: "Copy", style: "primary", run: copy }], { style: "wide" });
}

/** An MP server's dotted keys become nested again. */
function pairsOf(rows, isMp) {
  if (!isMp) return rows.map(({ key, value }) => [key, value]);
  // Keys come from the node: without a prototype, none of them means anything.
  const whole = Object.create(null);
  for (const { key, value } of rows) {
    const path = key.split(".");
    let at = whole;
    for (const part of path.slice(0, -1)) at = at[part] ??= Object.create(null);
    at[path.at(-1)] = value;
  }
  return Object.entries(whole);
}
