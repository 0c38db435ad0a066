/** One actor as it is now, and its restart. */

import { actorActs } from "../acts.js";
import { fact, h, setHidden } from "../dom.js";
import { plainWords } from "../faults.js";
import { age, count } from "../format.js";
import { mountActs } from "./acts.js";

function find(node, name) {
  if (!node || node.name === name) return node ?? null;
  for (const child of node.children ?? []) {
    const found = find(child, name);
    if (found) return found;
  }
  return null;
}

/** `onActed()`: read the tree again. */
export function actorDetails(name, { state, api, onActed }) {
  const list = h("dl", { class: "facts" });
  const facts = Object.fromEntries(["State", "Kind", "Waiting", "Done", "Restarts", "Up", "Last failure"].map((label) => [label, fact(list, label)]));
  const gone = h("p", { class: "empty", hidden: true }, "The tree has no such actor any more.");
  const acts = mountActs(async () => {
    const { actor } = await api.restartActor(name);
    onActed();
    return `${name} is ${String(actor?.state ?? "restarting").toLowerCase()}, up for ${age(actor?.uptime_seconds * 1000)}.`;
  });

  function render() {
    const node = find(state.actors, name);
    setHidden(gone, node !== null);
    setHidden(list, node === null);
    setHidden(acts.element, node === null);
    if (node === null) return;
    facts.State.set(String(node.state).toLowerCase());
    facts.Kind.set(String(node.kind));
    facts.Waiting.set(`${count(node.mailbox?.depth)} of ${count(node.mailbox?.capacity)}`);
    facts.Done.set(count(node.processed));
    facts.Restarts.set(count(node.restarts));
    facts.Up.set(age(node.uptime_seconds * 1000));
    facts["Last failure"].set(node.last_error ? plainWords(node.last_error) : "", !node.last_error);
    acts.render(actorActs(node, state));
  }
  return { elements: [gone, list, acts.element], render, close() {} };
}
