/** What an agent printed: its last lines, or those before its last crash. */

import { h, setText } from "../dom.js";
import { clockMs, moment, parseTime, plural } from "../format.js";

const LINES = 200;

function heading(answer, beforeCrash) {
  const exit = answer.last_exit;
  const ended = exit ? `ended ${moment(parseTime(exit.at), Date.now())} ${exit.signal ? `by ${exit.signal}` : `with code ${exit.code}`}` : "has not crashed since the daemon started";
  if (beforeCrash) return answer.lines.length ? `${plural(answer.lines.length, "line")} before its last crash (${ended})` : `No lines: it ${ended}.`;
  return answer.lines.length ? `Its last ${plural(answer.lines.length, "line")} of ${answer.total}` : "It has printed nothing since the daemon started.";
}

/** `objection()`: why there is no log to read, in words; null if there is. */
export function agentLogs(id, { api, objection }) {
  const words = h("p", { class: "note", role: "status" });
  const lines = h("pre", { class: "log", tabindex: 0, "aria-label": "Lines that the agent printed", hidden: true });

  async function read(beforeCrash) {
    const barred = objection();
    if (barred !== null) return setText(words, barred);
    setText(words, "Reading…");
    try {
      const answer = await api.agentLogs(id, { limit: LINES, before_crash: beforeCrash });
      setText(words, heading(answer, beforeCrash));
      lines.hidden = answer.lines.length === 0;
      lines.replaceChildren(...answer.lines.map((line) => h("span", { data: { stream: line.stream } }, `${clockMs(parseTime(line.at))}  ${line.text}\n`)));
      lines.scrollTop = lines.scrollHeight;
    } catch (error) {
      setText(words, `Not readable: ${error.message}`);
    }
    return undefined;
  }

  const button = (label, beforeCrash) => h("button", { type: "button", class: "quiet", on: { click: () => read(beforeCrash) } }, label);
  return h("div", {}, h("div", { class: "acts" }, button("Read its log", false), button("Before its last crash", true)), words, lines);
}
