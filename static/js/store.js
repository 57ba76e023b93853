// SPDX-License-Identifier: Apache-2.0
// The one holder of state: what the page knows, and who wants to hear of changes.

const THEME_KEY = "lmcache-frontend-theme";

/** A fleet of which nothing has been read yet. */
export const NO_FLEET = {
  state: "loading", reason: null, snapshot: 0, taken_at: null, received_at: null, interval_s: 10, totals: {},
  nodes: [], byKey: new Map(), problems: [], listed: false, proxies: [], entries: [], store_fault: null,
};

/**
 * Make the store. `get()` gives the state, `set(patch)` changes it, `subscribe(listener)` returns how to stop.
 * While paused, `fleet` is what it was when the page was paused; `newest()` is what the server said last.
 */
export function createStore() {
  let state = {
    link: { up: null, since: Date.now(), read_at: 0, how: null }, whoami: null, ended: false, fleet: NO_FLEET,
    drafts: new Map(), rules: { unsaved: false }, theme: readTheme(), paused: false,
  };
  let newest = NO_FLEET;
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
    // A page that is not seen draws no frames, and must know all the same.
    if (document.hidden) queueMicrotask(announce);
    else requestAnimationFrame(announce);
  }

  return {
    get: () => state,
    newest: () => newest,
    set,
    setFleet(fleet) {
      newest = fleet;
      if (!state.paused || state.fleet.state === "loading") set({ fleet });
    },
    setPaused(paused) {
      set(paused ? { paused } : { paused, fleet: newest });
    },
    setTheme(theme) {
      keepTheme(theme);
      set({ theme });
    },
    /** What was changed in a node's configuration but not saved: `{values, open}`, kept until it is. */
    draft(key) {
      if (!state.drafts.has(key)) state.drafts.set(key, { values: new Map(), open: null });
      return state.drafts.get(key);
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
export function anyUnsaved({ drafts, rules, fleet }) {
  return rules.unsaved || [...drafts].some(([key, draft]) => fleet.byKey.has(key) && isUnsaved(draft));
}

function keepTheme(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // Storage is off: the choice holds until the page is closed.
  }
}

function readTheme() {
  try {
    return localStorage.getItem(THEME_KEY) ?? "system";
  } catch {
    return "system";
  }
}
