// SPDX-License-Identifier: Apache-2.0
// Who told of a node, in words, and what that means for a change of it. Pure.

export const SOURCES = {
  api: { word: "kept here", text: "added on this page or over HTTP" },
  file: { word: "file", text: "listed in a file" },
  flag: { word: "command line", text: "named by --nodes" },
  demo: { word: "demo", text: "simulated" },
  proxy: { word: "its frontend", text: "reported by the frontend that it is behind" },
};

const BACK = {
  file: (file) =>
    `It is listed in ${file ?? "a file"}: unless it is taken out there, it is back when that file is read again.`,
  flag: () => "It is named on the command line: it is back when this frontend is started again so.",
  demo: () => "It belongs to the demo: it is back when that is started again.",
  proxy: (_file, proxy) => `${proxy} reports it: it is back when that frontend is asked for its nodes again.`,
};
const INSTEAD = {
  file: (file) =>
    `It is listed in ${file ?? "a file"}. What is saved here is kept, and holds in place of what is said there.`,
  flag: () => "It is named on the command line. What is saved here is kept, and holds in place of that.",
  demo: () => "It belongs to the demo, which knows nothing of what is saved here.",
  proxy: (_file, proxy) =>
    `${proxy} reports it: what is saved here holds until that frontend is asked for its nodes again.`,
};

/** What is to be known before an entry is edited or deleted, null where it is only kept here. */
export function warningFor({ sources, file }, entry, what) {
  const source = entry.isProxy ? sources[entry.name]?.source : sources[entry.proxy]?.nodes[entry.name];
  return (what === "edit" ? INSTEAD : BACK)[source]?.(file?.path, entry.proxy) ?? null;
}

/** How many nodes and proxies each source told of: `Map(source -> {nodes, proxies})`. */
export function counted(sources) {
  const counts = new Map();
  const add = (source, what) => {
    if (!source) return;
    if (!counts.has(source)) counts.set(source, { nodes: 0, proxies: 0 });
    counts.get(source)[what] += 1;
  };
  for (const { source, nodes } of Object.values(sources)) {
    add(source, "proxies");
    for (const one of Object.values(nodes)) add(one, "nodes");
  }
  return counts;
}
