// SPDX-License-Identifier: Apache-2.0
// What is wrong with rules or is to be said of them: found here and by the server, and kept by the part it is about.

import { requestJson } from "../api.js";
import { div, setAttribute } from "../dom.js";
import { sentence } from "../panel.js";
import { looseJson } from "../parse.js";
import { idOfFinding, idOfPath, readWork, rulesToSend } from "../rules-work.js";

/** Ask the server what is to be said of the rules, without saving them; `done()` is called when that is known. */
export async function check(view, done) {
  view.checking?.abort();
  const control = new AbortController();
  view.checking = control;
  const { rules, drafts } = readWork(view.work, view.find);
  const body = { rules: rulesToSend(rules), dry_run: true };
  const found = { findings: [], blocked: null };
  try {
    // Nobody has to sign in while typing.
    const options = { method: "PUT", body, signal: control.signal, asked: false };
    Object.assign(found, await requestJson("api/config/rules", options));
  } catch (error) {
    if (control.signal.aborted || error.status !== 400) return;
    found.blocked = error.message;
    found.findings = looseJson(error.answer.text).findings ?? [];
  }
  if (control.signal.aborted) return;
  view.findings = new Map();
  const put = (id, said) => { if (id) view.findings.set(id, [...view.findings.get(id) ?? [], said]); };
  // Where names that LMCache lacks are refused too, it is they that were.
  const isStrict = found.blocked && !found.findings.some(({ severity }) => severity === "error");
  for (const finding of found.findings) {
    const severity = isStrict && finding.severity === "unknown" ? "error" : finding.severity;
    put(idOfFinding(finding, drafts), { ...finding, severity });
  }
  if (found.blocked && found.findings.length === 0) {
    // The path says where it is, and there it is shown.
    const text = sentence(found.blocked.replace(/^rules\[\d+\]\S* (?=is|has|nests)/, "This "));
    put(idOfPath(found.blocked, drafts), { severity: "error", text });
  }
  done();
}

/** What is to be said of a part: `[{severity, text}]`. */
export function saidOf(view, id) {
  const problem = view.problems.get(id);
  return [...(problem ? [{ severity: "error", text: problem }] : []), ...view.findings.get(id) ?? []];
}

function idsOf({ id, conditions, items }) {
  return [id, `${id}:name`, ...conditions.map((part) => part.id), ...items.map((part) => part.id)];
}

/** How much is to be said of a rule: `{errors, others}`. */
export function countsOf(view, draft) {
  const said = idsOf(draft).flatMap((id) => saidOf(view, id));
  const errors = said.filter(({ severity }) => severity === "error").length;
  return { errors, others: said.length - errors };
}

/** Make the place where it is said. */
export function slotOf(view, id) {
  const slot = div("part-said");
  slot.id = `said-${id.replace(":", "-")}`;
  view.slots.set(id, slot);
  return slot;
}

/** Tie a field to what is said of it. */
export function fieldOf(view, id, field) {
  setAttribute(field, "aria-describedby", `said-${id.replace(":", "-")}`);
  view.fields.set(id, field);
  return field;
}
