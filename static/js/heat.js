// SPDX-License-Identifier: Apache-2.0
// A heat strip: one thin row a node, time to the right, colour for the value; many nodes stand in several columns.

import { keepDrawn } from "./canvas.js";
import { div, el, replace, setText, span } from "./dom.js";
import { clock, utc } from "./format.js";

const [HEIGHT, COLUMN_WIDTH, NARROW_WIDTH, GAP] = [260, 160, 60, 14];
const ROW = { least: 2, most: 14, split: 5 };
const LEVELS = ["unreachable", "answering", "degraded", "serving", "healthy"];

/** How values become colours: a ramp of tokens from `low` to `high`, or one token for each whole number. */
export const SCALES = {
  share: { tokens: ["--heat-low", "--heat-middle", "--heat-high"], low: 0, high: 1 },
  fill: { tokens: ["--fill-low", "--fill-middle", "--fill-high"], low: 0, high: 1 },
  level: { tokens: LEVELS.map((level) => `--level-${level}`) },
};

/**
 * Show `{label, rows: [{key, name}], start, step_s, values: [[number or null]], scale, format, height}` in `root`,
 * about `height` pixels high; `onPick(row)` is called where a row is clicked or Enter is pressed. Gives `{update(data),
 * paint(), destroy()}`.
 */
export function heatStrip(root, { onPick = () => {}, ...data }) {
  const strip = { data, onPick, cell: null, times: [span(), span()] };
  strip.canvas = el("canvas", {
    class: "heat-canvas", tabindex: "0", role: "application", "aria-roledescription": "heat strip",
    "aria-label": `${data.label}; arrow keys to read, Enter to open`,
  });
  [strip.box, strip.legend] = [span("heat-cell"), div("heat-legend")];
  strip.said = el("p", { class: "heat-said", "aria-live": "polite" });
  strip.screen = keepDrawn(strip.canvas, (context, screen) => draw(strip, context, screen));
  listen(strip);
  replace(root, div("heat", div("heat-head", strip.said, strip.legend),
    div("heat-plot", strip.canvas, strip.box), div("heat-times", strip.times)));
  const update = (next) => {
    const { scale } = strip.data;
    Object.assign(strip.data, next);
    if (strip.data.scale !== scale || !strip.legend.firstChild) replace(strip.legend, legend(strip.data));
    size(strip);
    describe(strip);
    strip.screen.redraw();
  };
  const sizes = new ResizeObserver(() => { size(strip); describe(strip); });
  sizes.observe(root);
  update({});
  return { update, paint: strip.screen.paint, destroy() { sizes.disconnect(); strip.screen.stop(); } };
}

/** Choose columns and the height of a row so that each node has one of its own. */
function size(strip) {
  const width = strip.canvas.parentElement.clientWidth || 600;
  const rows = Math.max(1, strip.data.rows.length);
  const { height = HEIGHT } = strip.data;
  const fitting = Math.max(1, Math.floor((width + GAP) / ((width < 480 ? NARROW_WIDTH : COLUMN_WIDTH) + GAP)));
  const columns = Math.min(fitting, Math.ceil((rows * ROW.least) / height));
  const each = Math.ceil(rows / columns);
  const row = Math.max(each * ROW.least > height ? 1 : ROW.least, Math.min(ROW.most, Math.floor(height / each)));
  strip.layout = { columns, each, row, width: (width - GAP * (columns - 1)) / columns };
  strip.canvas.style.setProperty("height", `${each * row}px`);
}

function draw({ data: { values, scale }, layout: { columns, each, row, width } }, context, { colour, ratio }) {
  const steps = values[0]?.length ?? 0;
  const colourOf = painter(scale, colour);
  context.imageSmoothingEnabled = false;
  for (let column = 0; steps && column < columns; column += 1) {
    const part = values.slice(column * each, (column + 1) * each);
    if (!part.length) break;
    // A pixel a cell, drawn large: a hundred thousand cells take no longer than a few.
    const cells = new ImageData(steps, part.length);
    const pixels = new Uint32Array(cells.data.buffer);
    part.forEach((line, y) => line.forEach((value, x) => { pixels[y * steps + x] = colourOf(value); }));
    const small = new OffscreenCanvas(steps, part.length);
    small.getContext("2d").putImageData(cells, 0, 0);
    context.drawImage(small, Math.round(column * (width + GAP) * ratio) / ratio, 0, width, part.length * row);
  }
  if (row < ROW.split) return;
  for (let line = 1; line <= each; line += 1) context.clearRect(0, line * row - 1, columns * (width + GAP), 1);
}

/** A function from a value to a pixel, its bytes as this machine orders them; a gap is nearly nothing. */
function painter({ tokens, low, high }, colour) {
  const pixel = (bytes) => new Uint32Array(new Uint8ClampedArray(bytes).buffer)[0];
  const bytesOf = (token) => [...colour(token).match(/[\d.]+/g).slice(0, 3).map(Number), 255];
  const stops = tokens.map(bytesOf);
  const gap = pixel([...bytesOf("--muted").slice(0, 3), 26]);
  const solid = low === undefined ? stops.map(pixel) : Array.from({ length: 256 }, (_none, index) => {
    const at = (index / 255) * (stops.length - 1);
    const from = Math.min(Math.floor(at), stops.length - 2);
    return pixel(stops[from].map((byte, part) => byte + (stops[from + 1][part] - byte) * (at - from)));
  });
  const place = low === undefined ? (value) => value
    : (value) => Math.round(Math.min(1, Math.max(0, (value - low) / (high - low))) * 255);
  return (value) => (value === null ? gap : solid[place(value)] ?? gap);
}

function listen(strip) {
  const { canvas } = strip;
  const stepsOf = () => strip.data.values[0]?.length ?? 0;
  const point = ({ offsetX, offsetY }) => {
    const { columns, each, row, width } = strip.layout;
    const column = Math.min(columns - 1, Math.floor(offsetX / (width + GAP)));
    const step = Math.floor(((offsetX - column * (width + GAP)) / width) * stepsOf());
    choose(strip, column * each + Math.min(each - 1, Math.max(0, Math.floor(offsetY / row))), step);
  };
  const pick = () => { if (strip.cell) strip.onPick(strip.data.rows[strip.cell[0]]); };
  const keys = (event) => {
    const [row, step] = strip.cell ?? [-1, stepsOf() - 1];
    const moves = {
      ArrowUp: [row - 1, step], ArrowDown: [row + 1, step], ArrowLeft: [row, step - 1], ArrowRight: [row, step + 1],
      Home: [0, step], End: [strip.data.rows.length - 1, step], Escape: [null],
    };
    if (event.key === "Enter") pick();
    else if (moves[event.key]) choose(strip, ...moves[event.key]);
    else return;
    event.preventDefault();
  };
  const none = () => choose(strip, null);
  const on = { pointermove: point, pointerdown: point, pointerleave: none, blur: none, click: pick, keydown: keys };
  for (const [type, hear] of Object.entries(on)) canvas.addEventListener(type, hear);
}

/** Choose a cell to read out; a row of null, or beyond the last, chooses none. */
function choose(strip, row, step) {
  const { rows, values } = strip.data;
  const within = (value, count) => Math.min(count - 1, Math.max(0, value));
  strip.cell = row === null || row >= rows.length ? null : [within(row, rows.length), within(step, values[0].length)];
  describe(strip);
}

function describe(strip) {
  const { data: { label, rows, start, step_s, values, format }, layout: { columns, each, row, width }, box } = strip;
  const steps = values[0]?.length ?? 0;
  if (strip.cell?.[0] >= rows.length) strip.cell = null;
  const ends = [start, start + steps * step_s];
  // Where there are several columns, each of them has all of the time.
  const words = columns > 1 ? [`${ends.map(clock).join(" – ")} in each column`, ""] : ends.map(clock);
  strip.times.forEach((time, index) => { setText(time, words[index]); time.title = ends.map(utc).join(" – "); });
  box.hidden = !strip.cell;
  if (!strip.cell) return setText(strip.said, label);
  const [line, step] = strip.cell;
  const value = values[line][step];
  const place = { left: Math.floor(line / each) * (width + GAP), top: (line % each) * row, width, height: row };
  for (const [name, length] of Object.entries(place)) box.style.setProperty(name, `${length}px`);
  box.style.setProperty("--at", String((step + 0.5) / steps));
  const what = value === null ? "no value" : format(value);
  setText(strip.said, `${rows[line].name.slice(0, 80)} · ${clock(start + step * step_s)} · ${what}`);
}

/** What the colours mean, in words beside them. */
function legend({ scale: { tokens, low, high }, format }) {
  const filled = (element, colour) => { element.style.setProperty("background", colour); return element; };
  const colours = tokens.map((token) => `var(${token})`);
  const swatch = (one, index) => span("heat-word", filled(span("heat-swatch"), one), format(index));
  if (low === undefined) return colours.map(swatch);
  const ramp = filled(span("heat-ramp"), `linear-gradient(to right, ${colours.join()})`);
  return [span("", format(low)), ramp, span("", format(high))];
}
