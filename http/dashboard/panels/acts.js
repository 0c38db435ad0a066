/** Buttons that act: the first press says the effect, the second does it; then the result, live. */

import { announce, h, keyed, setAttr, setHidden, setText } from "../dom.js";

/** `run(key)` does it and resolves to the words of what came of it. */
export function mountActs(run) {
  const known = new Map();
  let chosen = null;
  let items = [];
  const row = h("div", { class: "acts" });
  const effect = h("span");
  const confirm = h("button", { type: "button", on: { click: perform } });
  const cancel = h("button", { type: "button", class: "quiet", on: { click: () => choose(null) } }, "Cancel");
  const question = h("div", { class: "question", hidden: true }, effect, h("div", { class: "acts" }, confirm, cancel));
  const outcome = h("p", { class: "outcome", role: "status", hidden: true });
  const why = h("p", { class: "why", hidden: true });

  function choose(item) {
    chosen = item;
    setHidden(question, item === null);
    if (item === null) return;
    setHidden(outcome, true);
    setText(effect, item.effect);
    setText(confirm, `${item.label} now`);
    confirm.focus();
  }

  function say(words, kind) {
    setHidden(outcome, false);
    setText(outcome, words);
    setAttr(outcome, "data-kind", kind);
  }

  async function perform() {
    const { key, label } = chosen;
    choose(null);
    say(`${label}: sending…`, "busy");
    try {
      const words = await run(key);
      say(words, "done");
      announce(words);
    } catch (error) {
      say(`${label} did not work. ${error.message}`, "failed");
      announce(`${label} did not work. ${error.message}`);
    }
  }

  function button(first) {
    let item = first;
    const element = h("button", { type: "button", on: { click: () => choose(item) } }, first.label);
    return { element, update(next) {
      item = next;
      element.disabled = next.objection !== null;
      setAttr(element, "title", next.objection ?? next.effect);
    } };
  }

  return {
    element: h("div", { class: "act-list" }, row, why, question, outcome),
    /** `next`: `[{key, label, effect, objection}]`. */
    render(next) {
      items = next;
      keyed(row, known, items, (item) => item.key, button);
      const reasons = [...new Set(items.map((item) => item.objection).filter(Boolean))];
      setText(why, reasons.map((reason) => `${items.filter((item) => item.objection === reason).map((item) => item.label).join(", ")}: ${reason}`).join("\n"));
      setHidden(why, reasons.length === 0);
      if (chosen && items.find((item) => item.key === chosen.key)?.objection) choose(null);
    },
  };
}
