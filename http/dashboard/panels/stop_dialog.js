/**
 * To stop: open this, hold (or type STOP). Two steps, and nothing in between waits for anything.
 *
 * It sends by HTTP, so it works while the live link is down. Whatever fails is said with the ways
 * that are left; it can be sent again at once, since a stop that is in force takes a second one.
 */

import { deskWords, objectionTo } from "../api.js";
import { HALT_PAST_DAEMON, haltCommand } from "../commands.js";
import { announce, button, closeOutside, h, quiet, setText } from "../dom.js";
import { duration } from "../format.js";
import { tripWords } from "../trading.js";
import { field, makeDialog, outcomeLine } from "./acts.js";

const LEVELS = [["halt", "Halt"], ["reduce", "Reduce"]];

const option = ([value, words]) => h("option", { value }, words);

/** The scopes that can be chosen: `{groups: [[scope, words]], agents: [[scope, words]]}`, in order of their names. */
export function knownScopes(agents) {
  const rows = [...agents.values()];
  const named = (kind, names) => [...new Set(names)].sort((a, b) => a.localeCompare(b)).map((name) => [`${kind}:${name}`, name]);
  const groups = rows.map((row) => row.agent_group).filter((name) => typeof name === "string" && name !== "");
  return { groups: named("group", groups), agents: named("agent", rows.map((row) => row.id)) };
}

/** `value()` is `{level, scope}`; `reset()` goes back to halt for all, with the scopes known by now. */
export function targetFields(state, onChange) {
  const level = h("select", { id: "stop-level", on: { change: onChange } }, LEVELS.map(option));
  const scope = h("select", { id: "stop-scope", on: { change: onChange } });
  const element = h("div", { class: "target" }, field("Level", level), field("For", scope));
  const group = (label, options) => (options.length ? h("optgroup", { label }, options.map(option)) : null);

  function reset() {
    const known = knownScopes(state.agents);
    scope.replaceChildren(...[option(["all", "All agents"]), group("Groups", known.groups), group("Agents", known.agents)].filter(Boolean));
    level.value = "halt";
    scope.value = "all";
  }

  reset();
  return { element, reset, value: () => ({ level: level.value, scope: scope.value }) };
}

const HOLD_MS = 1500;
const TYPED = "STOP";
const DEFAULT_REASON = "Stopped by hand from the dashboard";
const PRESETS = ["Prices look wrong", "Runaway agent", "Position out of bounds", "Maintenance", "Test"];

/** Calls `onDone` once the pointer, space or enter has been held for `HOLD_MS`; letting go starts again. */
function holdButton(label, onDone) {
  const element = button([h("span", { class: "hold-fill" }), h("span", { class: "hold-label" }, label)], null, { class: "hold" });
  let timer = null;
  const start = () => {
    if (timer !== null) return;
    element.classList.add("holding");
    timer = setTimeout(() => {
      end();
      onDone();
    }, HOLD_MS);
  };
  const end = () => {
    clearTimeout(timer);
    timer = null;
    element.classList.remove("holding");
  };
  const isHoldKey = (event) => event.key === " " || event.key === "Enter";
  element.addEventListener("pointerdown", (event) => event.button === 0 && start());
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) element.addEventListener(name, end);
  element.addEventListener("keydown", (event) => {
    if (!isHoldKey(event)) return;
    event.preventDefault();
    start();
  });
  element.addEventListener("keyup", (event) => isHoldKey(event) && end());
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  return { element, end };
}

function reasonField() {
  const input = h("input", { id: "stop-reason", type: "text", maxlength: 500, autocomplete: "off", placeholder: DEFAULT_REASON });
  const chips = PRESETS.map((words) => button(words, () => { input.value = words; }, { class: "chip" }));
  return { input, element: field("Reason (may stay as it is)", input, h("div", { class: "chips" }, ...chips)) };
}

/** What the daemon made of it: its level and scope, not those that were asked for. */
export function resultWords(answer, tookMs) {
  const all = answer.level !== "reduce" && (answer.scope ?? "all") === "all";
  const done = all ? "Trading is stopped" : `In force: ${tripWords(answer).toLowerCase()}`;
  const parts = [answer.already_active ? `${done}; a stop was in force already and stays, each with its own release` : done,
    answer.latched ? "on disk" : "not yet on disk", answer.persisted ? "in the database" : "not yet in the database",
    `reached ${Number(answer.published_to) || 0} on the bus`];
  return `${parts.join(", ")} (${duration(tookMs)}).`;
}

/** What a stop of this level and scope does. */
export function effectOf(target) {
  const what = target.level === "reduce" ? "No new positions; open ones may only be made smaller" : "Those with a gate send no more orders; open orders are left to each agent";
  return `${tripWords(target).toLowerCase()}. ${what}; nothing is sold.`;
}

/** What can still be done, for the one to whom it happened. */
export function failureWords(error, access) {
  const onMachine = `On the machine: ${haltCommand(DEFAULT_REASON)}`;
  if (error.status === 401) return `${error.message} Sign in, and stop again. ${onMachine}`;
  if (error.status === 403) return `${objectionTo(access, "stop") ?? error.message} Sign in with another token. ${onMachine}`;
  if (error.status > 0) return `${error.message} Send it again. ${onMachine}`;
  return `${error.message} Send it again. ${onMachine}. If the daemon is dead, past it to the agents: ${HALT_PAST_DAEMON}`;
}

export function mountStopDialog({ state, api, onStopped, onRefused }) {
  const effect = h("p", { class: "effect" });
  const path = h("p", { class: "note" });
  const { element: outcome, say } = outcomeLine();
  const reason = reasonField();
  const target = targetFields(state, showEffect);
  const hold = holdButton("Hold 1.5 s to stop trading", () => send());
  const typed = h("input", { id: "stop-typed", type: "text", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", placeholder: TYPED });
  const close = quiet("Cancel", () => dialog.close());
  const form = h("form", { class: "typed", on: { submit: onSubmit } }, h("label", { for: "stop-typed" }, "or type ", h("b", {}, TYPED), " and press Enter"), typed);
  const dialog = makeDialog("stop-dialog", "danger", "Stop trading", effect, reason.element, target.element, hold.element, form, outcome, path,
    h("div", { class: "acts" }, close));
  dialog.addEventListener("close", hold.end);
  closeOutside(dialog);

  function onSubmit(event) {
    event.preventDefault();
    if (typed.value.trim().toUpperCase() === TYPED) send();
    else typed.select();
  }

  /** Not disabled while it is under way: a second stop does no harm, a blocked one might. */
  async function send() {
    const startedMs = Date.now();
    say("Sending…", "busy");
    typed.value = "";
    try {
      const answer = await api.stop(reason.input.value.trim() || DEFAULT_REASON, target.value());
      const words = resultWords(answer, Date.now() - startedMs);
      say(words, answer.latched && answer.persisted ? "done" : "part");
      announce(words, { urgent: true });
      setText(close, "Close");
      onStopped();
    } catch (error) {
      if (error.status === 403) onRefused();
      say(failureWords(error, state.access), "failed");
      announce(`The stop was not confirmed. ${error.message}`, { urgent: true });
    }
  }

  function showEffect() {
    setText(effect, `${deskWords(state)}: ${effectOf(target.value())}`);
  }

  function open() {
    target.reset();
    showEffect();
    setText(path, `Sent by HTTP to ${location.host}. It does not need the live link.`);
    say("");
    setText(close, "Cancel");
    typed.value = "";
    if (!dialog.open) dialog.showModal();
    hold.element.focus();
  }
  return { open };
}
