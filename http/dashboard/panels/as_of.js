/** The event list as of another time: a span that was marked on a chart instead of now. */

import { h, setHidden, setText } from "../dom.js";
import { clock, plural } from "../format.js";

/** `onChange()` when there is something else to draw; `onLeave()` when the list is to go back to now. */
export function mountAsOf({ state, log, history, onChange, onLeave }) {
  /** `{from, to, rows, more}`; `rows` are null while they are being read. */
  let range = null;
  const words = h("span");
  const element = h("p", { class: "as-of", role: "status", hidden: true }, words, " ", h("button", { type: "button", class: "quiet", on: { click: onLeave } }, "Back to now"));

  async function show(filter, from, to) {
    const wanted = { from, to, rows: null, more: false };
    range = state.asOf = wanted;
    onChange();
    const found = await history.range(filter, from, to);
    if (range !== wanted) return;
    if (found) log.hold(Object.assign(range, found).rows);
    else range = state.asOf = null;
    onChange();
  }

  function say({ from, to, rows, more }) {
    const span = `As of ${clock(from)} to ${clock(to)} UTC`;
    if (rows === null) return `${span}: reading…`;
    return more ? `${span}: the newest ${plural(rows.length, "event")} of more. Mark a shorter span to see all.` : `${span}: ${plural(rows.length, "event")}.`;
  }

  return {
    element, show,
    /** Show the same span through another filter. */
    again: (filter) => range && show(filter, range.from, range.to),
    leave: () => { range = state.asOf = null; },
    render() {
      setHidden(element, range === null);
      if (range) setText(words, say(range));
    },
    get on() { return range !== null; },
  };
}
