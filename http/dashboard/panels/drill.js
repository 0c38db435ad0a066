/** The last drill in words, and the button that runs one: how long a stop takes to each agent, halting none. */

import { objectionTo } from "../access.js";
import { fact, h, setHidden, setText } from "../dom.js";
import { age, parseTime } from "../format.js";

const DUE_MS = 24 * 3_600_000;

/** "2 h ago: 3 agents answered, slowest execution-1 in 41 ms; 1 did not answer." `drill`: null if there was none. */
export function drillWords(drill, nowMs) {
  if (!drill) return "never, as far as is known.";
  const at = parseTime(drill.at);
  const when = Number.isFinite(at) ? `${age(nowMs - at)} ago` : "at an unknown time";
  const slowest = typeof drill.slowest === "string" ? `, slowest ${drill.slowest} in ${Math.round(drill.slowest_ms)} ms` : "";
  const missed = drill.missed > 0 ? `; ${drill.missed} did not answer` : "";
  return `${when}: ${drill.answered} ${drill.answered === 1 ? "agent" : "agents"} answered${slowest}${missed}.${nowMs - at > DUE_MS ? " Over a day old: due again." : ""}`;
}

/** `onDrill()` runs one and reads the state again; it rejects with words that can be shown. */
export function mountDrill({ state, onDrill }) {
  const list = h("dl", { class: "facts" });
  const last = fact(list, "Last drill");
  const run = h("button", { type: "button", class: "quiet", on: { click: start } }, "Drill");
  const outcome = h("p", { class: "state-meaning", role: "status", hidden: true });
  let [known, running] = [undefined, false];

  async function start() {
    running = true;
    say("Asking every agent with a gate; none is halted.");
    try {
      await onDrill();
      say("");
    } catch (error) {
      say(error.message);
    }
    running = false;
  }

  function say(words) {
    setText(outcome, words);
    setHidden(outcome, words === "");
  }

  return { element: [list, outcome], button: run, render(nowMs) {
    const k = state.killswitch;
    if (k && "drill" in k) known = k.drill;
    setHidden(list, known === undefined);
    if (known !== undefined) last.set(drillWords(known, nowMs));
    const objection = objectionTo(state.access, "drill");
    run.disabled = running || objection !== null;
    run.title = objection ?? "Asks every agent with a gate to answer; halts none";
  } };
}
