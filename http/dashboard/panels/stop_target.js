/**
 * How hard to stop, and whom: halt for all unless one chooses otherwise.
 *
 * Scopes are chosen from those that are known, since a stop for a misspelt name stops nobody.
 */

import { h } from "../dom.js";

const LEVELS = [["halt", "Halt"], ["reduce", "Reduce"]];

const option = ([value, words]) => h("option", { value }, words);

/** The scopes that can be chosen: `{groups: [[scope, words]], agents: [[scope, words]]}`, in order of their names. */
export function knownScopes(agents) {
  const rows = [...agents.values()];
  const named = (kind, names) => [...new Set(names)].sort((a, b) => a.localeCompare(b)).map((name) => [`${kind}:${name}`, name]);
  const groups = rows.map((row) => row.agent_group).filter((name) => typeof name === "string" && name !== "");
  return { groups: named("group", groups), agents: named("agent", rows.map((row) => row.id)) };
}

function field(id, label, select) {
  return h("div", { class: "field" }, h("label", { for: id }, label), select);
}

/** `value()` is `{level, scope}`; `reset()` goes back to halt for all, with the scopes known by now. */
export function targetFields(state, onChange) {
  const level = h("select", { id: "stop-level", on: { change: onChange } }, LEVELS.map(option));
  const scope = h("select", { id: "stop-scope", on: { change: onChange } });
  const element = h("div", { class: "target" }, field("stop-level", "Level", level), field("stop-scope", "For", scope));
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
