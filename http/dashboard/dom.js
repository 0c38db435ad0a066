/**
 * The few words that the panels build the page with, and when it is drawn.
 *
 * Text only ever becomes text (`textContent`): nothing here parses HTML, so no payload can.
 */

const SVG = "http://www.w3.org/2000/svg";

function put(element, props) {
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.setAttribute("class", value);
    else if (key === "on") for (const [name, listener] of Object.entries(value)) element.addEventListener(name, listener);
    else if (key === "data") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
}

/** `h("p", {class: "note", on: {click}}, "text", child, …)`. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  put(element, props);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  put(element, props);
  element.append(...children);
  return element;
}

/** Set a text, touching the page only if it differs. */
export function setText(element, text) {
  const words = String(text);
  if (element.textContent !== words) element.textContent = words;
}

/** Set an attribute, or take it away with `null`, touching the page only if it differs. */
export function setAttr(element, name, value) {
  if (value === null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/** Set a text, and hide its element while there is none. */
export function setWords(element, words) {
  setHidden(element, words === "");
  setText(element, words);
}

/** Disable a button with the reason, or enable it (`objection` null) with `title`. */
export function setBarred(element, objection, title = null) {
  element.disabled = objection !== null;
  setAttr(element, "title", objection ?? title);
}

/** Outlines on a 12 × 12 field; a state is never shown by its colour alone. */
const SHAPES = {
  up: "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z",
  late: "M6 1 11.4 10.6H.6z",
  down: "M1.5 1.5h9v9h-9z",
  error: "M6 .6 11.4 6 6 11.4.6 6z",
  halted: "M3.8.8h4.4l3 3v4.4l-3 3H3.8l-3-3V3.8z",
  stopped: "M2 2h8v8H2zM4 4v4h4V4z",
  unknown: "M6 1.2a4.8 4.8 0 1 0 0 9.6a4.8 4.8 0 1 0 0-9.6zm0 2a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6z",
  rise: "M6 2 11 10H1z",
  fall: "M6 10 1 2h10z",
  level: "M1 4.6h10v2.8H1z",
};

/** The sign of a state, coloured by its class (`sign up`, `sign late`, …). */
export function sign(kind) {
  const path = svg("path", { d: SHAPES[kind] ?? SHAPES.unknown, "fill-rule": "evenodd" });
  return svg("svg", { class: `sign ${kind}`, viewBox: "0 0 12 12", "aria-hidden": "true" }, path);
}

/** Change a sign in place. */
export function setSign(element, kind) {
  if (element.getAttribute("class") === `sign ${kind}`) return;
  element.setAttribute("class", `sign ${kind}`);
  element.firstChild.setAttribute("d", SHAPES[kind] ?? SHAPES.unknown);
}

/**
 * Keep the children of `parent` in step with `items`: made once per key, updated in place, in order.
 *
 * `make(item)` returns `{element, update(item)}`; `known` is the caller's Map of them.
 */
export function keyed(parent, known, items, keyOf, make) {
  const wanted = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    wanted.add(key);
    let entry = known.get(key);
    if (!entry) known.set(key, (entry = make(item)));
    entry.update(item);
    if (entry.element === place) place = place.nextElementSibling;
    else parent.insertBefore(entry.element, place);
  }
  for (const [key, entry] of known) {
    if (wanted.has(key)) continue;
    entry.element.remove();
    known.delete(key);
  }
}

/** Put a text on the clipboard; false where the browser does not let us. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** The way that also works where the page is not a secure context (plain http to another host). */
function copyBySelection(text) {
  const field = h("textarea", { class: "offscreen", "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

/** A table that says what it is also to those who cannot see it; `heads` are `[label, class?]`. */
export function makeTable(kind, label, heads) {
  const body = h("tbody");
  const cells = heads.map(([words, of]) => h("th", { scope: "col", class: of }, words));
  return { body, element: h("table", { class: kind }, h("caption", { class: "offscreen" }, label), h("thead", {}, h("tr", {}, cells)), body) };
}

/** A line of a list of facts (`dl`): `set(words, hidden)` keeps it up to date. */
export function fact(list, label) {
  const value = h("dd", { class: "figure" });
  const term = h("dt", {}, label);
  list.append(term, value);
  const hide = (hidden) => [term, value].forEach((element) => setHidden(element, hidden));
  return {
    value, hide,
    set(words, hidden = false) {
      setText(value, words);
      hide(hidden);
    },
  };
}

/** A button that copies, and says so; `onDone()` after it did. */
export function copyButton(label, textOf, onDone = () => {}) {
  const element = quiet(label, async () => {
    const done = await copy(textOf());
    setText(element, done ? "copied" : "not allowed");
    setTimeout(() => setText(element, label), 1200);
    if (done) onDone();
  });
  return element;
}

/** A button; `label` is a text or a list of children. */
export const button = (label, onClick, props = {}) => h("button", { type: "button", on: onClick && { click: onClick }, ...props }, label);
export const quiet = (label, onClick, props = {}) => button(label, onClick, { class: "quiet", ...props });
export const pick = (label, title, onClick) => quiet(label, onClick, { title });

/** Close a dialog by pressing outside it. (A press that only ends there, or on its edge, does nothing.) */
export function closeOutside(dialog) {
  dialog.addEventListener("pointerdown", (event) => {
    if (event.target !== dialog) return;
    const box = dialog.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) dialog.close();
  });
}

/** Say something to those who listen to the page. Urgent things interrupt. */
export function announce(text, { urgent = false } = {}) {
  const region = document.getElementById(urgent ? "alerts" : "news");
  if (region) setText(region, text);
}

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
