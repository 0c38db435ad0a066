/** The phone's bottom bar: four places, and the stop at the thumb. */

import { objectionTo } from "../access.js";
import { h, setAttr, sign } from "../dom.js";

const PLACES = [["desk", "Desk"], ["agents", "Agents"], ["events", "Events"], ["regime", "Regime"]];

export function mountPlaces(root, { state, onStop, onChange }) {
  const buttons = new Map(PLACES.map(([place, word]) => [place, h("button", { type: "button", on: { click: () => go(place) } }, word)]));
  const stop = h("button", { type: "button", class: "stop", "aria-label": "Stop trading…", on: { click: onStop } }, sign("halted"), "Stop");
  const all = [...buttons.values()];
  root.append(...all.slice(0, 2), stop, ...all.slice(2));

  function go(place) {
    if (!buttons.has(place) && place !== "system") return;
    state.place = place;
    document.body.dataset.place = place;
    for (const [name, button] of buttons) setAttr(button, "aria-current", name === place ? "page" : null);
    window.scrollTo(0, 0);
    onChange();
  }
  function render() {
    const objection = objectionTo(state.access, "stop");
    stop.disabled = objection !== null;
    setAttr(stop, "title", objection);
  }
  return { go, render, get place() { return document.body.dataset.place; } };
}
