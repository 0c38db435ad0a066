/** The side panel: one event, agent or actor. Not modal; what it shows stays true while it is open. */

import { h, pick, quiet } from "../dom.js";
import { actorDetails } from "./supervision.js";
import { agentDetails } from "./agent_details.js";
import { eventDetails } from "./event_details.js";

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
      show("Event", event.channel, eventDetails(event, { api, ...act }),
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
