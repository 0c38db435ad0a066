/**
 * Every command that the page shows or copies, so that one test can hold them all to the command line's
 * own parser (tests/browser/test_commands.py). Pure.
 */

import { quote } from "./filter.js";

export { quote, tailCommand } from "./filter.js";

/** Why an agent does not appear. */
export const doctorCommand = (agentId) => `orc doctor agent ${agentId.startsWith("-") ? "-- " : ""}${quote(agentId)}`;
export const haltCommand = (reason) => `orc halt --reason ${quote(reason)}`;
export const TAIL = "orc tail";
export const HALT = haltCommand("the dashboard is cut off");
export const RUN_AGENT = "orc agent run module:Class";
export const MAKE_TOKEN = "orc token new --role viewer";
/** Reaches agents past a daemon that is dead: all of them take what is not exactly `false` for a stop. */
export const HALT_PAST_DAEMON = "redis-cli PUBLISH risk.killswitch '{\"enabled\": true, \"reason\": \"by hand\"}'";
export const EMIT = "orc event emit strategy.candidate '{\"symbol\": \"AAPL\"}'";
