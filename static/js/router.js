// SPDX-License-Identifier: Apache-2.0
// Fragments to places: `#/`, `#/node/NAME?tab=threads`, `#/manage?add=node`.

/** Read a fragment into `{place, name, query}`; an unknown place is `missing`. */
export function parseRoute(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?");
  const query = Object.fromEntries(new URLSearchParams(search));
  const [, node] = /^\/node\/(.+)$/.exec(path) ?? [];
  if (node) return { place: "node", name: decode(node), query };
  return { place: { "": "fleet", "/": "fleet", "/manage": "manage" }[path] ?? "missing", name: null, query };
}

/** The fragment of a node's page. */
export function nodeHref(key, tab = "overview") {
  return `#/node/${encodeName(key)}${tab === "overview" ? "" : `?tab=${tab}`}`;
}

/** Percent-encode a name; half surrogate pairs, which no URL can carry, become the replacement character. */
export function encodeName(name) {
  return encodeURIComponent(name.replace(/\p{Surrogate}/gu, "\ufffd"));
}

/** Take the query out of the address, without going anywhere: what it asked for is done. */
export function forgetQuery() {
  history.replaceState(history.state, "", location.hash.split("?")[0]);
}

/** Call `go(route)` now and on every change of place; fragments that are not places are left alone. */
export function startRouter(go) {
  const read = () => {
    if (location.hash === "" || location.hash.startsWith("#/")) go(parseRoute(location.hash));
  };
  addEventListener("hashchange", read);
  read();
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
