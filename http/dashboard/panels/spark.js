/** A small picture of how a figure went; its words stand beside it. */

import { setAttr, svg } from "../dom.js";
import { areaPath } from "../series.js";

/** `set(points, nowMs, spanMs)`: `[{ts, value}]` up to now. */
export function spark() {
  const path = svg("path", {});
  return {
    element: svg("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" }, path),
    set: (points, nowMs, spanMs) => setAttr(path, "d", areaPath(points, nowMs, spanMs)),
  };
}
