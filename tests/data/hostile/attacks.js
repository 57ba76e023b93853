// SPDX-License-Identifier: Apache-2.0
// What a page can try against a frontend at another origin: each attempt bears its own name, so that what arrives at a
// node or among the nodes tells which one it was. `here` is the frontend's address, ending in a slash.

const PATIENCE_MS = 8000;

function settled(element, address, attribute = "src") {
  return new Promise((resolve) => {
    for (const kind of ["load", "error", "loadeddata", "stalled"]) element.addEventListener(kind, resolve);
    setTimeout(resolve, PATIENCE_MS);
    if (attribute) element[attribute] = address;
    document.body.append(element);
  });
}

function made(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function submitted(properties, fields) {
  const frame = made("iframe", { name: `frame-${properties.name}` });
  document.body.append(frame);
  const form = made("form", { ...properties, target: frame.name, hidden: true });
  for (const [name, value] of Object.entries(fields)) form.append(made("input", { name, value }));
  document.body.append(form);
  return new Promise((resolve) => {
    frame.addEventListener("load", resolve);
    setTimeout(resolve, PATIENCE_MS);
    HTMLFormElement.prototype.submit.call(form);
  });
}

function closed(stream) {
  return new Promise((resolve) => {
    stream.onerror = stream.onclose = stream.onmessage = () => resolve(stream.close());
    setTimeout(() => resolve(stream.close()), PATIENCE_MS);
  });
}

// GET requests that change a node: its log level, set under the name of the attempt.
const GETS = {
  "img": (address) => settled(made("img"), address),
  "img-no-referrer": (address) => settled(made("img", { referrerPolicy: "no-referrer" }), address),
  "img-unsafe-url": (address) => settled(made("img", { referrerPolicy: "unsafe-url" }), address),
  "script": (address) => settled(made("script"), address),
  "script-no-referrer": (address) => settled(made("script", { referrerPolicy: "no-referrer" }), address),
  "module": (address) => settled(made("script", { type: "module" }), address),
  "stylesheet": (address) => settled(made("link", { rel: "stylesheet" }), address, "href"),
  "preload": (address) => settled(made("link", { rel: "preload", as: "image" }), address, "href"),
  "prefetch": (address) => settled(made("link", { rel: "prefetch" }), address, "href"),
  "icon-object": (address) => settled(made("object"), address, "data"),
  "embed": (address) => settled(made("embed"), address),
  "iframe": (address) => settled(made("iframe"), address),
  "iframe-no-referrer": (address) => settled(made("iframe", { referrerPolicy: "no-referrer" }), address),
  "video": (address) => settled(made("video", { preload: "auto" }), address),
  "fetch": (address) => fetch(address, { credentials: "include" }),
  "fetch-no-cors": (address) => fetch(address, { mode: "no-cors", credentials: "include" }),
  "fetch-no-referrer": (address) =>
    fetch(address, { mode: "no-cors", credentials: "include", referrerPolicy: "no-referrer" }),
  "fetch-other-agent": (address) =>
    fetch(address, { credentials: "include", referrerPolicy: "no-referrer", headers: { "User-Agent": "curl/8.0" } }),
  "xhr": (address) =>
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("GET", address);
      request.withCredentials = true;
      request.onloadend = resolve;
      request.send();
    }),
  "event-source": (address) => closed(new EventSource(address, { withCredentials: true })),
  "web-socket": (address) => closed(new WebSocket(address.replace("http", "ws"))),
  "form-get": (address) => {
    const { searchParams: query, origin, pathname } = new URL(address);
    return submitted({ name: "get", method: "get", action: origin + pathname }, Object.fromEntries(query));
  },
  "import": (address) => import(address),
  "worker": async (address) => {
    const code = new Blob([`importScripts(${JSON.stringify(address)})`]);
    const worker = new Worker(URL.createObjectURL(code));
    await new Promise((resolve) => {
      worker.onerror = worker.onmessage = resolve;
      setTimeout(resolve, PATIENCE_MS);
    });
    worker.terminate();
  },
  "service-worker": (address) => navigator.serviceWorker.register(address),
};

// Requests with a body: `node` clears a node's cache, `own` registers a node with us.
const JSON_TRICK = (body) => {
  const text = JSON.stringify(body);
  // A form of text/plain sends NAME=VALUE: the sign of equality becomes part of a member that nobody looks at.
  return { [`${text.slice(0, -1)},"rest":"`]: '"}' };
};
const POSTS = {
  "form-text": ({ own, body }) =>
    submitted({ name: "text", method: "post", enctype: "text/plain", action: own }, JSON_TRICK(body)),
  "form-urlencoded": ({ node }) => submitted({ name: "url", method: "post", action: node }, { locations: "all" }),
  "form-multipart": ({ node }) =>
    submitted({ name: "parts", method: "post", enctype: "multipart/form-data", action: node }, { locations: "all" }),
  "post-no-cors": ({ own, text }) =>
    fetch(own, { method: "POST", mode: "no-cors", credentials: "include", body: text }),
  "post-no-referrer": ({ own, text }) =>
    fetch(own, { method: "POST", mode: "no-cors", credentials: "include", referrerPolicy: "no-referrer", body: text }),
  "post-json": ({ own, text }) =>
    fetch(own, { method: "POST", credentials: "include", body: text, headers: { "Content-Type": "application/json" } }),
  "post-node": ({ node }) => fetch(node, { method: "POST", mode: "no-cors", credentials: "include" }),
  "put": ({ node }) => fetch(node, { method: "PUT", credentials: "include" }),
  "delete": ({ node }) => fetch(node, { method: "DELETE", credentials: "include" }),
  "keepalive": ({ node }) => fetch(node, { method: "POST", mode: "no-cors", credentials: "include", keepalive: true }),
  "beacon": ({ own, text }) => navigator.sendBeacon(own, text),
  "ping": ({ node }) => made("a", { ping: node, href: "#" }).click(),
};

// Ways to see what an address answers; each gives what it saw, nothing where it saw nothing.
const LOOKS = {
  "fetch": async (address) => (await fetch(address, { credentials: "include" })).text(),
  "fetch-omit": async (address) => (await fetch(address, { credentials: "omit" })).text(),
  "fetch-no-cors": async (address) => (await fetch(address, { mode: "no-cors", credentials: "include" })).text(),
  "fetch-authorized": async (address) => (await fetch(address, { headers: { Authorization: "Bearer x" } })).text(),
  "fetch-other-agent": async (address) =>
    (await fetch(address, { referrerPolicy: "no-referrer", headers: { "User-Agent": "curl/8.0" } })).text(),
  "xhr": (address) =>
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("GET", address);
      request.withCredentials = true;
      request.onloadend = () => resolve(request.responseText + request.getAllResponseHeaders());
      request.send();
    }),
  "script": async (address) => {
    const before = new Set(Object.keys(window));
    const said = [];
    const listen = ({ message }) => {
      if (message !== "Script error.") said.push(message);
    };
    window.addEventListener("error", listen);
    await settled(made("script"), address);
    window.removeEventListener("error", listen);
    return [...said, ...Object.keys(window).filter((name) => !before.has(name) && !/^\d+$/.test(name))].join();
  },
  "stylesheet": async (address) => {
    const link = made("link", { rel: "stylesheet" });
    await settled(link, address, "href");
    return link.sheet ? [...link.sheet.cssRules].map((rule) => rule.cssText).join() : "";
  },
  "iframe": async (address) => {
    const frame = made("iframe");
    await settled(frame, address);
    return frame.contentDocument ? frame.contentDocument.body.textContent : "";
  },
};

async function attempt(act) {
  try {
    return await act();
  } catch {
    return "";
  }
}

async function attack(here) {
  const tries = [];
  for (const [name, act] of Object.entries(GETS)) {
    tries.push(attempt(() => act(`${here}proxy2/n1/loglevel?logger_name=${name}&level=DEBUG`)));
  }
  for (const [name, act] of Object.entries(POSTS)) {
    const body = { name, host: "127.0.0.1", port: 9 };
    const node = `${here}proxy2/n1/cache/clear?by=${name}`;
    tries.push(attempt(() => act({ own: `${here}api/nodes`, body, text: JSON.stringify(body), node })));
  }
  tries.push(attempt(() => settled(made("img"), `${here}api/proxies/local_proxy/refresh`)));
  await Promise.all(tries);
  return tries.length;
}

async function look(here, paths) {
  const seen = {};
  for (const path of paths) {
    for (const [name, act] of Object.entries(LOOKS)) {
      const text = await attempt(() => act(here + path));
      if (text) seen[`${name} ${path}`] = text;
    }
  }
  return seen;
}

async function watch(here) {
  const source = new EventSource(`${here}api/fleet/events`, { withCredentials: true });
  return new Promise((resolve) => {
    const done = (said) => resolve(source.close() || said);
    source.onerror = () => done("");
    source.onopen = () => done("open");
    setTimeout(() => done("silent"), PATIENCE_MS);
  });
}
