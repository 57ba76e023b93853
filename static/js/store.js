// SPDX-License-Identifier: Apache-2.0
// The one holder of state: what the page knows, and who wants to hear of changes.

const THEME_KEY = "lmcache-frontend-theme";

/** Make the store. `get()` gives the state, `set(patch)` changes it, `subscribe(listener)` returns how to stop. */
export function createStore() {
  let state = {
    link: { up: null, since: Date.now(), read_at: 0 },
    whoami: null,
    fleet: { state: "loading", proxies: [], nodes: [], reason: null },
    probes: new Map(),
    drafts: new Map(),
    watched: null,
    theme: readTheme(),
  };
  const listeners = new Set();
  let due = false;

  function announce() {
    due = false;
    for (const listener of [...listeners]) listener(state);
  }

  function set(patch) {
    state = { ...state, ...patch };
    if (due) return;
    due = true;
    requestAnimationFrame(announce);
  }

  return {
    get: () => state,
    set,
    setProbe(key, probe) {
      state.probes.set(key, { ...state.probes.get(key), ...probe, read_at: Date.now() });
      set({});
    },
    /** What was changed in a node's configuration but not saved: `{values, open}`, kept until it is. */
    draft(key) {
      if (!state.drafts.has(key)) state.drafts.set(key, { values: new Map(), open: null });
      return state.drafts.get(key);
    },
    setTheme(theme) {
      try {
        localStorage.setItem(THEME_KEY, theme);
      } catch {
        // Storage is off: the choice holds until the page is closed.
      }
      set({ theme });
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Whether something was changed for a node but not saved: values, or the text of the field that is open. */
export function isUnsaved(draft) {
  return Boolean(draft) && (draft.values.size > 0 || (draft.open !== null && draft.open.text !== draft.open.was));
}

/** Whether anything that can still be saved is not. */
export function anyUnsaved({ drafts, fleet }) {
  const nodes = new Set(fleet.nodes.map((node) => node.key));
  return [...drafts].some(([key, draft]) => nodes.has(key) && isUnsaved(draft));
}

/** Why this reader may not change things, or null; until the server has said who it is, null (it decides anyway). */
export function whyNot({ whoami }) {
  if (!whoami || (whoami.role === "operator" && !whoami.read_only)) return null;
  if (whoami.read_only) return "This frontend is read-only: it was started so that nothing can be changed through it.";
  return "You are a viewer here: you can read, but changes need an operator. "
    + "Open this page on the machine the frontend runs on, for instance through ssh -L.";
}

function readTheme() {
  try {
    return localStorage.getItem(THEME_KEY) ?? "system";
  } catch {
    return "system";
  }
}
