/**
 * Ways about the page: the side panel, the phone's bottom bar with the stop at the thumb, the keyboard, and the sheet that explains it.
 * The stop has no key of its own, on purpose.
 */

import { objectionTo } from "../api.js";
import { button, closeOutside, h, pick, quiet, setAttr, setBarred, sign } from "../dom.js";
import { makeDialog } from "./acts.js";
import { agentDetails } from "./agent_details.js";
import { eventDetails, topicDetails } from "./event_details.js";
import { actorDetails } from "./supervision.js";

const PLACES = [["desk", "Desk"], ["agents", "Agents"], ["events", "Events"], ["regime", "Regime"]];

export function mountPlaces(root, { state, onStop, onChange }) {
  const buttons = new Map(PLACES.map(([place, word]) => [place, button(word, () => go(place))]));
  const stop = button([sign("halted"), "Stop"], onStop, { class: "stop", "aria-label": "Stop trading…" });
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
  return { go, render: () => setBarred(stop, objectionTo(state.access, "stop")), get place() { return document.body.dataset.place; } };
}

const KEYS = [
  ["g k", "Killswitch"], ["g a", "Agents"], ["g e", "Events"], ["g r", "Regime"], ["g s", "Supervision"], ["g y", "System"],
  ["/", "Filter the events"], ["space", "Pause or resume the events"], [".", "Newest event"],
  ["j / k", "Older / newer event"], ["Enter", "In the list: load the newest gap"], ["Esc", "Close the side panel"], ["?", "This sheet"],
];
const FILTER_WORDS = [
  ["strategy.*", "topics; * is any run of characters"],
  ["-data.market.*", "leave out"],
  ["source:quotes-agent", "who sent it"],
  ["data.score>=0.8", "a field of the payload (= != > < >= <=)"],
  ["severity:warning", "this severity and above"],
  ["\"fat finger\"", "a text anywhere in it"],
];
const SECTIONS = { k: "killswitch", a: "agents", e: "events", r: "regime", s: "supervision", y: "system" };
const SEQUENCE_MS = 1200;

const rows = (pairs) => h("dl", { class: "keys" }, ...pairs.flatMap(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)]));

export function mountHelp() {
  const dialog = makeDialog("help", "", "Keys", rows(KEYS), h("h3", {}, "Filter"), rows(FILTER_WORDS),
    h("p", { class: "note" }, "Figures carry their age; hatched ones are from before the link was lost. Times are the daemon's, in UTC."),
    h("p", {}, h("a", { href: "docs" }, "API reference")),
    h("div", { class: "acts" }, quiet("Close", () => dialog.close())));
  closeOutside(dialog);
  return { open: () => dialog.showModal() };
}

const isTyping = (element) => element.matches?.("input, textarea, select") || element.closest?.("dialog[open]");

/** `act` has `goTo(section)`, `filter`, `pause`, `newest`, `move(step)`, `close`, `help`. */
export function listenToKeys(act) {
  let goAt = 0;

  function single(event) {
    const onControl = event.target.matches?.("button, a, summary");
    switch (event.key) {
      case "/": return act.filter();
      case " ": return onControl ? false : act.pause();
      case ".": return act.newest();
      case "j": return act.move(1);
      case "k": return act.move(-1);
      case "?": return act.help();
      case "Escape": return act.close();
      default: return false;
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape" && event.target.id === "filter") event.target.blur();
      return;
    }
    const inSequence = Date.now() - goAt < SEQUENCE_MS;
    goAt = 0;
    if (inSequence && SECTIONS[event.key]) {
      event.preventDefault();
      act.goTo(SECTIONS[event.key]);
    } else if (event.key === "g") goAt = Date.now();
    else if (single(event) !== false) event.preventDefault();
  });
}

/** `act` has `onFilter(words)`, `onOpenEvent(event)`, `onMove(step)`, `onActed()` and `onClose()`. */
export function mountDetails(root, { state, api, now, ...act }) {
  /** What is shown: `{element, render?(nowMs), onEvent?(event), close()}`. */
  let view = null;

  function show(kind, title, next, ...moves) {
    view?.close();
    view = next;
    const close = quiet("Close", hide, { class: "quiet close", "aria-label": "Close details" });
    root.replaceChildren(
      h("div", { class: "panel-head" }, h("h2", {}, kind), h("span", { class: "spacer" }), ...moves, close),
      h("div", { class: "panel-body", tabindex: 0 }, h("h3", { class: "details-title" }, title), ...view.elements));
    root.hidden = false;
    document.body.dataset.details = kind.toLowerCase();
    render(now());
  }

  function hide() {
    if (view === null) return;
    view.close();
    view = null;
    root.hidden = true;
    delete document.body.dataset.details;
    act.onClose();
  }

  function render(nowMs) {
    view?.render(nowMs);
  }

  return {
    render, hide,
    showEvent(event) {
      show("Event", event.channel, eventDetails(event, { state, api, ...act, onTopic: (type) => show("Topic", type, topicDetails(type, { api, now, ...act })) }),
        pick("Newer", "k", () => act.onMove(-1)), pick("Older", "j", () => act.onMove(1)));
    },
    showAgent(id) {
      const next = agentDetails(id, { state, api, ...act });
      show("Agent", next.title, next);
    },
    showActor(name) {
      show("Actor", name, actorDetails(name, { state, api, ...act }));
    },
    /** An event came. */
    onEvent(event) {
      view?.onEvent?.(event);
    },
    get open() { return view !== null; },
  };
}
