// SPDX-License-Identifier: Apache-2.0
// Fragments to places and back: `#/`, `#/node/NAME?tab=threads`, `#/compare?nodes=a,b`, `#/manage?add=node`.

const PLACES = {
  "": "fleet", "/": "fleet", "/compare": "compare", "/configuration": "configuration", "/manage": "manage",
};

/** Read a fragment into `{place, name, query}`; an unknown place is `missing`. */
export function parseRoute(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const query = Object.fromEntries(new URLSearchParams(search));
  const [, node] = /^\/node\/(.+)$/.exec(path) ?? [];
  if (node) return { place: "node", name: decode(node), query };
  return { place: PLACES[path] ?? "missing", name: null, query };
}

/** The fragment of a place: `fleet`, `compare`, `configuration`, `manage`. Empty values of `query` are left out. */
export function placeHref(place, query = {}) {
  return `#/${place === "fleet" ? "" : place}${searchOf(query)}`;
}

/** The fragment of a node's page. */
export function nodeHref(key, tab = "overview", query = {}) {
  return `#/node/${encodeName(key)}${searchOf({ tab: tab === "overview" ? null : tab, ...query })}`;
}

/** Several names as one value of a query: commas part them, so those within names are percent-encoded. */
export function namesText(names) {
  return names.map((name) => name.replace(/[%,]/g, encodeURIComponent)).join(",");
}

/** The names in such a value, each once. */
export function readNames(text = "") {
  return [...new Set(text.split(",").filter(Boolean).map(decode))];
}

/** The fragment of the comparison of nodes. */
export function compareHref(keys) {
  return placeHref("compare", { nodes: namesText(keys) });
}

/** Go to a place, or to an address such as `nodeHref` gives. */
export function navigate(place, query) {
  location.hash = place.startsWith("#") ? place : placeHref(place, query);
}

/** Put a query into the address without going anywhere: the view that is open shows it already. */
export function replaceQuery(query) {
  const fragment = (location.hash || "#/").split("?")[0] + searchOf(query);
  if (fragment !== location.hash) history.replaceState(history.state, "", fragment);
}

/** Take the query out of the address, without going anywhere: what it asked for is done. */
export function forgetQuery() {
  replaceQuery({});
}

/**
 * Percent-encode a name for a path; half surrogate pairs, which no URL can carry, become the replacement character. A
 * local node called `.` or `..` goes by its long name, as browsers would take the short one for a folder.
 */
export function encodeName(name) {
  const whole = name === "." || name === ".." ? `local_proxy/${name}` : name;
  return encodeURIComponent(whole.replace(/\p{Surrogate}/gu, "\ufffd"));
}

/** Call `go(route)` now and on every change of place; fragments that are not places are left alone. */
export function startRouter(go) {
  const read = () => {
    if (location.hash === "" || location.hash.startsWith("#/")) go(parseRoute(location.hash));
  };
  addEventListener("hashchange", read);
  read();
}

function searchOf(query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  // Commas, colons and slashes may stand in a fragment; they are what is read and typed there.
  const search = new URLSearchParams(given).toString().replace(/%2C/g, ",").replace(/%3A/g, ":").replace(/%2F/g, "/");
  return search ? `?${search}` : "";
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
