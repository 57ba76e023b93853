// SPDX-License-Identifier: Apache-2.0
// What every canvas needs: as many pixels as the screen has, colours out of the style sheets, and to be drawn again.
// Sizes, colours and the font are kept, as a page that was written to would have to be laid out to ask for them.

/**
 * Keep a canvas drawn: `draw(context, {width, height, ratio, colour})` is called before the next frame when the canvas
 * gets another size, the theme changes, or `redraw()` is called; `paint()` calls it at once. Sizes are in CSS pixels,
 * `ratio` is the screen's pixels for each, `colour("--name")` gives a token's colour; text is small, in its font.
 */
export function keepDrawn(canvas, draw) {
  const context = canvas.getContext("2d");
  const colours = new Map();
  let [due, size, font] = [0, null, null];
  const colour = (token) => {
    // A token that is made of `light-dark()` has a value only where it is used as a colour.
    if (!colours.has(token)) {
      canvas.style.setProperty("color", `var(${token})`);
      colours.set(token, getComputedStyle(canvas).color);
      canvas.style.removeProperty("color");
    }
    return colours.get(token);
  };
  const paint = () => {
    cancelAnimationFrame(due);
    due = 0;
    size ??= [canvas.clientWidth, canvas.clientHeight];
    const [width, height] = size;
    const ratio = devicePixelRatio;
    const [wide, high] = [width, height].map((length) => Math.round(length * ratio));
    if (!wide || !high) return;
    // With another size a canvas forgets its font.
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height, font] = [wide, high, null];
    if (font === null) context.font = font = `11px ${getComputedStyle(canvas).fontFamily}`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    draw(context, { width, height, ratio, colour });
  };
  const redraw = () => { due ||= requestAnimationFrame(paint); };
  const recolour = () => { colours.clear(); font = null; redraw(); };
  // Sizes are told of after the layout and before the frame is shown: in time for what is drawn now.
  const sizes = new ResizeObserver(() => { size = null; paint(); });
  // In the screen's pixels where that is offered, so that a page that is moved to another screen is drawn for it.
  try { sizes.observe(canvas, { box: "device-pixel-content-box" }); } catch { sizes.observe(canvas); }
  const chosen = new MutationObserver(recolour);
  chosen.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const media = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) => matchMedia(query));
  for (const one of media) one.addEventListener("change", recolour);
  const stop = () => {
    cancelAnimationFrame(due);
    for (const observer of [sizes, chosen]) observer.disconnect();
    for (const one of media) one.removeEventListener("change", recolour);
  };
  return { redraw, paint, stop };
}
