/** Prints, a line of JSON each, every command that the page can show or copy (see test_commands.py). */
import * as commands from "../../http/dashboard/commands.js";

const FILTERS = ["", "strategy.* -data.market.* source:quotes-1", "severity:warning data.score>=0.8 \"fat finger\"", "--not heartbeat.* --source 'it is' topic:-odd", "source:a source:b* !x"];
const NAMES = ["quotes-1", "-dash", "it's; $(reboot)", "a b"];
const WITH_NAMES = { doctorCommand: NAMES, haltCommand: NAMES };

for (const [name, value] of Object.entries(commands)) {
  if (typeof value === "string") console.log(JSON.stringify(value));
  else if (name === "tailCommand") {
    for (const filter of FILTERS) {
      for (const heartbeats of [true, false]) console.log(JSON.stringify(value(filter, { url: "http://127.0.0.1:8090", heartbeats }).command));
    }
  } else if (WITH_NAMES[name]) for (const one of WITH_NAMES[name]) console.log(JSON.stringify(value(one)));
  else if (name !== "quote") throw new Error(`say what ${name} is called with`);
}
