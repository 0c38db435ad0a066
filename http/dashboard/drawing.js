/** When to draw: at most four times a second, in a frame of the browser's, and only what changed. */

/** More cannot be read. */
const DRAW_EVERY_MS = 250;

/** `onDraw(names)` draws what changed since the last time; returns `changed(names)`. */
export function scheduleDrawing(onDraw) {
  const dirty = new Set();
  let [drawnAt, drawing] = [-Infinity, false];

  function draw() {
    drawing = false;
    drawnAt = performance.now();
    const names = [...dirty];
    dirty.clear();
    onDraw(names);
  }

  return (names) => {
    for (const name of names) dirty.add(name === "health" ? "header" : name);
    if (dirty.has("agents")) dirty.add("details");
    if (names.length) dirty.add("header");
    if (drawing || dirty.size === 0) return;
    drawing = true;
    setTimeout(() => requestAnimationFrame(draw), Math.max(0, drawnAt + DRAW_EVERY_MS - performance.now()));
  };
}
