/**
 * Every command that the page shows or copies, so that one test can hold them all to the command line's
 * own parser (tests/browser/test_commands.py). Pure.
 */

import { OPTIONS, tokens, WHERE } from "./filter.js";

/** A word for a POSIX shell. */
export const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;

/** What `orc tail` can say of a filter's word: a topic, one to leave out, a source; null: nothing. */
function role({ text, quoted }) {
  if (quoted || WHERE.test(text)) return null;
  const prefixed = /^(topic|source|severity|not):(.+)$/s.exec(text);
  if (prefixed) return prefixed[1] === "severity" ? null : [prefixed[1], prefixed[2]];
  if (/^[-!]./.test(text)) return ["not", text.slice(1)];
  return /[.*]/.test(text) ? ["topic", text] : null;
}

/** The filter's words as `[role, value]`, and those that `orc tail` has no option for. */
function sorted(filterText) {
  const said = { topic: [], not: [], source: [] };
  const unsaid = [];
  let option = null;
  for (const token of tokens(filterText)) {
    if (option === null && !token.quoted && Object.hasOwn(OPTIONS, token.text)) {
      option = OPTIONS[token.text];
      continue;
    }
    const [kind, value] = option ? [option, token.text] : role(token) ?? [null, token.text];
    const fits = said[kind] && !(kind === "source" && (said.source.length > 0 || value.includes("*")));
    if (fits) said[kind].push(value);
    else unsaid.push(option === "severity" || option === "where" ? `${option}:${value}` : value);
    option = null;
  }
  return { said, unsaid };
}

/** `{command, unsaid}`: the same list as the page shows, and the words that only the page's filter knows. */
export function tailCommand(filterText, { url, heartbeats = true } = {}) {
  const { said, unsaid } = sorted(filterText);
  const words = ["orc", ...(url ? ["--url", url] : []), "tail"];
  for (const value of said.not) words.push("--not", quote(value));
  if (!heartbeats) words.push("--not", quote("heartbeat.*"));
  for (const value of said.source) words.push("--source", quote(value));
  if (said.topic.some((topic) => topic.startsWith("-"))) words.push("--");
  return { command: [...words, ...said.topic.map(quote)].join(" "), unsaid };
}

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
