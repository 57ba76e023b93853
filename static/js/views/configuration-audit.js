// SPDX-License-Identifier: Apache-2.0
// The audit trail as a part of the configuration.

import { mountAudit } from "./audit.js";

export function mount(root, context) {
  return mountAudit(root, context, { view: "audit" });
}
