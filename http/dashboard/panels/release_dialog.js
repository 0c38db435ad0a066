/** To release a stop: name the trip, say why. Slower than stopping, on purpose. */

import { applyRefusal, objectionTo } from "../access.js";
import { announce, h, setAttr, setHidden, setText } from "../dom.js";
import { clip, moment, parseTime, plural } from "../format.js";
import { tripsInForce } from "../trading.js";

/** So many characters of the trip's id prove that it was read. */
const PROOF_CHARS = 6;

/** Does `typed` name the trip: whole, or by its last characters? */
export function namesTrip(typed, tripId) {
  const words = typed.trim().toLowerCase();
  const id = String(tripId ?? "").toLowerCase();
  return id !== "" && (words === id || (words.length >= Math.min(PROOF_CHARS, id.length) && id.endsWith(words)));
}

/** What is left, by the daemon's answer to the release. */
export function releasedWords(answer) {
  const left = tripsInForce(answer).length;
  if (left) return `This stop is released; ${left} more still in force.`;
  return `The stop is released. ${answer.status === "inactive" ? "Trading is allowed." : "Whether trading is allowed is not known."}`;
}

export function mountReleaseDialog({ state, api, onReleased, onRefused, now }) {
  let tripId = "";
  const effect = h("p", { class: "effect" });
  const pending = h("p", { class: "note", hidden: true });
  const shown = h("code", { class: "trip" });
  const typed = h("input", { id: "release-trip", type: "text", autocomplete: "off", spellcheck: "false" });
  const reason = h("input", { id: "release-reason", type: "text", maxlength: 500, autocomplete: "off", required: true });
  const outcome = h("p", { class: "outcome", role: "status", hidden: true });
  const submit = h("button", { type: "submit", class: "release", disabled: true }, "Release: trading goes on");
  const close = h("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Keep it stopped");
  const form = h("form", { on: { submit: send, input: check } },
    h("div", { class: "field" }, h("label", { for: "release-trip" }, `Trip id, or its last ${PROOF_CHARS} characters: `, shown), typed),
    h("div", { class: "field" }, h("label", { for: "release-reason" }, "Why is it safe to go on?"), reason),
    pending, outcome, h("div", { class: "acts" }, close, submit));
  const dialog = h("dialog", { id: "release-dialog", class: "dialog go", "aria-labelledby": "release-title" },
    h("h2", { id: "release-title" }, "Release the stop"), effect, form);
  document.body.append(dialog);

  function refusal(error) {
    if (error.status === 403) return objectionTo(state.access, "release");
    return `${error.message}${error.status === 409 ? " Another trip is in force now: close this and look again." : ""}`;
  }

  function check() {
    submit.disabled = !namesTrip(typed.value, tripId) || reason.value.trim() === "";
  }

  function say(words, kind) {
    setHidden(outcome, false);
    setText(outcome, words);
    setAttr(outcome, "data-kind", kind);
  }

  async function send(event) {
    event.preventDefault();
    check();
    if (submit.disabled) return;
    submit.disabled = true;
    say("Sending…", "busy");
    try {
      const answer = await api.release(tripId, reason.value.trim());
      announce(releasedWords(answer), { urgent: true });
      dialog.close();
    } catch (error) {
      if (error.status === 403) onRefused(applyRefusal(state.access, "release"));
      say(`Not released. ${refusal(error)}`, "failed");
      check();
    }
    onReleased();
  }

  function open() {
    const k = state.killswitch ?? {};
    tripId = String(k.trip_id ?? "");
    const others = tripsInForce(k).length - 1;
    const then = others > 0 ? `ends this stop only; ${plural(others, "more stop")} stay in force` : "lets its agents trade again";
    setText(effect, `To release on ${state.instance ?? "this daemon"} ${then}. The stop was: “${clip(String(k.reason ?? "no reason given"), 160)}”, ${moment(parseTime(k.last_triggered), now())}.`);
    setText(shown, tripId || "none on record");
    const waiting = Array.isArray(k.agents?.pending) ? k.agents.pending : [];
    setHidden(pending, waiting.length === 0);
    setText(pending, `Have not halted yet: ${waiting.join(", ")}`);
    setHidden(outcome, true);
    typed.value = reason.value = "";
    check();
    if (!dialog.open) dialog.showModal();
    typed.focus();
  }
  return { open };
}
