/** To release a stop: name the trip, say why. Slower than stopping, on purpose. */

import { objectionTo } from "../api.js";
import { announce, h, quiet, setHidden, setText, setWords } from "../dom.js";
import { clip, moment, parseTime } from "../format.js";
import { tripsInForce, tripWords } from "../trading.js";
import { field, makeDialog, outcomeLine } from "./acts.js";

/** Characters of the trip's id that prove that it was read. */
const PROOF_CHARS = 6;

/** Does `typed` name the trip: whole, or by its last characters? */
export function namesTrip(typed, tripId) {
  const words = typed.trim().toLowerCase();
  const id = String(tripId ?? "").toLowerCase();
  return id !== "" && (words === id || (words.length >= Math.min(PROOF_CHARS, id.length) && id.endsWith(words)));
}

/** At most this many other stops are named; the rest are counted. */
const NAMED = 5;

function list(trips) {
  const named = trips.slice(0, NAMED).map((trip) => `${tripWords(trip).toLowerCase()} (“${clip(String(trip.reason ?? "no reason given"), 60)}”)`).join("; ");
  return trips.length > NAMED ? `${named}; and ${trips.length - NAMED} more` : named;
}

/** What the release of `tripId` leaves, by what the daemon said last. */
export function effectWords(killswitch, tripId) {
  const others = tripsInForce(killswitch).filter((trip) => trip.trip_id !== tripId);
  if (others.length) return `Only this stop ends. What stays in force: ${list(others)}.`;
  if (killswitch.status !== "active") return "No other stop is known, but the daemon cannot read its own record: agents go on treating it as stopped.";
  return "No other stop is in force: its agents may trade again.";
}

/** What stays in force, by the daemon's answer to the release. */
export function releasedWords(answer) {
  const left = tripsInForce(answer);
  if (left.length) return `Released. Still in force: ${list(left)}.`;
  if (answer.status === "inactive") return "Released. No stop is in force any more: trading is allowed.";
  return `Released. Whether trading is allowed is not known: agents treat it as stopped.${typeof answer.message === "string" ? ` ${answer.message}` : ""}`;
}

export function mountReleaseDialog({ state, api, onReleased, onRefused, now }) {
  let tripId = "";
  const named = h("p", { class: "effect" });
  const effect = h("p", { class: "effect" });
  const pending = h("p", { class: "note", hidden: true });
  const shown = h("code", { class: "trip" });
  const typed = h("input", { id: "release-trip", type: "text", autocomplete: "off", spellcheck: "false" });
  const reason = h("input", { id: "release-reason", type: "text", maxlength: 500, autocomplete: "off", required: true });
  const outcome = outcomeLine();
  const submit = h("button", { type: "submit", class: "release", disabled: true }, "Release this trip");
  const close = quiet("Keep it stopped", () => dialog.close());
  const form = h("form", { on: { submit: send, input: check } },
    field([`Trip id, or its last ${PROOF_CHARS} characters: `, shown], typed), field("Why is it safe to go on?", reason),
    pending, outcome.element, h("div", { class: "acts" }, close, submit));
  const dialog = makeDialog("release-dialog", "go", "Release the stop", named, effect, form);

  function refusal(error) {
    if (error.status === 403) return objectionTo(state.access, "release") ?? error.message;
    return `${error.message}${error.status === 409 ? " Close this and look again." : ""}`;
  }

  function check() {
    submit.disabled = !namesTrip(typed.value, tripId) || reason.value.trim() === "";
  }

  /** Closed if all is over; else it stays and says what is left. */
  function done(answer) {
    const words = releasedWords(answer);
    announce(words, { urgent: true });
    if (answer.status === "inactive") return dialog.close();
    outcome.say(words, "part");
    setHidden(submit, true);
    setText(close, "Close");
    close.focus();
    return undefined;
  }

  async function send(event) {
    event.preventDefault();
    check();
    if (submit.disabled) return;
    submit.disabled = true;
    outcome.say("Sending…", "busy");
    try {
      done(await api.release(tripId, reason.value.trim()));
    } catch (error) {
      if (error.status === 403) onRefused();
      outcome.say(`Not released. ${refusal(error)}`, "failed");
      check();
    }
    onReleased();
  }

  function describe(trip) {
    const at = moment(parseTime(trip.at ?? trip.timestamp), now());
    setText(named, `On ${state.instance ?? "this daemon"}: ${tripWords(trip).toLowerCase()}, “${clip(String(trip.reason ?? "no reason given"), 160)}”, ${[trip.triggered_by, at].filter(Boolean).join(", ")}.`);
    setText(effect, effectWords(state.killswitch, trip.trip_id));
    setText(shown, tripId);
    const waiting = Array.isArray(state.killswitch.agents?.pending) ? state.killswitch.agents.pending : [];
    setWords(pending, waiting.length ? `Have not halted yet: ${waiting.join(", ")}` : "");
  }

  function open(trip) {
    tripId = String(trip.trip_id ?? "");
    describe(trip);
    outcome.say("");
    setHidden(submit, false);
    setText(close, "Keep it stopped");
    typed.value = reason.value = "";
    check();
    if (!dialog.open) dialog.showModal();
    typed.focus();
  }
  return { open };
}
