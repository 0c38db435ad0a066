/**
 * The filter language of the event list, the same words as on the command line, and a filter as `orc tail`. Pure.
 *
 *   strategy.*  data.market.AAPL.*      topics (one of them must match; `*` is any run)
 *   --not heartbeat   -data.market.*    topics to leave out
 *   source:quotes-1   --source X        who sent it (patterns too)
 *   severity:warning                    this severity and above
 *   data.score>=0.8   data.symbol=AAPL  a field of the payload
 *   "fat finger"      anything          text anywhere in the event
 */

export const SEVERITIES = ["info", "warning", "critical"];
const OPTIONS = { "--topic": "topic", "--not": "not", "--source": "source", "--where": "where", "--severity": "severity" };
const WHERE = /^(?:data|payload)\.([A-Za-z_][\w.-]*?)\s*(>=|<=|!=|==|=|>|<)\s*(.*)$/s;

function tokens(text) {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|((?:[^\s"']|"[^"]*"|'[^']*')+)/g)].map((m) =>
    m[3] === undefined ? { text: m[1] ?? m[2], quoted: true } : { text: m[3], quoted: false },
  );
}

/**
 * A contract pattern (`*` any run of characters, nothing else special) as a test.
 *
 * Each part is taken where it first comes and never given up, so that no pattern takes long; the
 * same as protocol/patterns.py.
 */
export function glob(pattern) {
  const [head, ...others] = pattern.split("*");
  if (others.length === 0) return (text) => text === pattern;
  const tail = others.pop();
  const parts = others.filter((part) => part !== "");
  return (text) => {
    if (!text.startsWith(head) || !text.endsWith(tail)) return false;
    let at = head.length;
    for (const part of parts) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at + tail.length <= text.length;
  };
}

function compare(operator, left, right) {
  const a = Number(left);
  const b = Number(right);
  const numbers = left !== "" && left !== null && !Number.isNaN(a) && !Number.isNaN(b) && right !== "";
  switch (operator) {
    case ">": return numbers && a > b;
    case "<": return numbers && a < b;
    case ">=": return numbers && a >= b;
    case "<=": return numbers && a <= b;
    case "!=": return numbers ? a !== b : String(left) !== right;
    default: return numbers ? a === b : String(left) === right;
  }
}

function where(text) {
  const match = WHERE.exec(text);
  if (!match || /^[=<>!]/.test(match[3])) return null;
  const path = match[1].split(".");
  const right = match[3].replace(/^(["'])(.*)\1$/s, "$2");
  return (event) => {
    let value = event.payload;
    for (const key of path) {
      if (value === null || typeof value !== "object" || !Object.hasOwn(value, key)) return false;
      value = value[key];
    }
    return compare(match[2], value, right);
  };
}

/** A word that looks like a field or an option of this language but is none, or has no value. */
const SLIP = /^(?:--[a-z]+$|[a-z]+:$|(?:sev|sour|src|top|typ|agent|level)[a-z]*:.|(?:data|payload)\.[\w.]+[=<>!~])/i;
const FIELDS = ["topic:", "source:", "severity:", "not:"];

function slipWords(word) {
  if (/^(?:data|payload)\./i.test(word)) return `cannot read “${word}”: write data.field>=value`;
  const field = word.replace(/^--/, "").replace(/:.*$/s, ":");
  const after = FIELDS.includes(field) ? ": it needs a value" : nearest(field, FIELDS) || `: write ${FIELDS.join(" ")}or “${word}” in quotes for a text`;
  return `cannot read “${word}”${after}`;
}

/** What one of `tokens` asks for, as `[kind, value]`: topic, source, severity, not, where, text, or a slip. */
function kindOf({ text, quoted }) {
  const prefixed = /^(topic|source|severity|not):(.+)$/s.exec(text);
  if (quoted) return ["text", text];
  if (prefixed) return prefixed.slice(1);
  if (WHERE.test(text)) return ["where", text];
  if (SLIP.test(text)) return ["slip", text];
  if (/^[-!]./.test(text)) return ["not", text.slice(1)];
  return [/[.*]/.test(text) ? "topic" : "text", text];
}

function add(parts, kind, value) {
  if (kind === "topic") parts.topics.push(value);
  else if (kind === "not") parts.nots.push(value);
  else if (kind === "source") parts.sources.push(value);
  else if (kind === "severity") addSeverity(parts, value.toLowerCase());
  else if (kind === "text") parts.texts.push(value.toLowerCase());
  else if (kind === "slip") parts.faults.push(slipWords(value));
  else {
    const test = where(value);
    if (test) parts.wheres.push(test);
    else parts.faults.push(`cannot read “${value}”: write data.field>=value`);
  }
}

function addSeverity(parts, value) {
  const rank = SEVERITIES.indexOf(value);
  if (rank >= 0) parts.severity = rank;
  else parts.faults.push(`no severity “${value}”${nearest(value, SEVERITIES)}: ${SEVERITIES.join(", ")}`);
}

/** ", did you mean …?" where a word begins like one of the known ones. */
function nearest(word, known) {
  const found = known.find((one) => word.length > 1 && one.slice(0, 2) === word.slice(0, 2));
  return found ? `, did you mean “${found}”?` : "";
}

function parse(text) {
  const parts = { topics: [], nots: [], sources: [], wheres: [], texts: [], severity: 0, faults: [] };
  let option = null;
  for (const token of tokens(text)) {
    if (option) {
      add(parts, option, token.text);
      option = null;
    } else if (!token.quoted && Object.hasOwn(OPTIONS, token.text)) option = OPTIONS[token.text];
    else add(parts, ...kindOf(token));
  }
  if (option) parts.faults.push("the last word needs a value");
  return parts;
}

const matchesTopic = (tests, event) => tests.some((test) => test(event.type) || test(event.channel));

/**
 * Compile a filter.
 *
 * Returns `{empty, test(event), faults: [text], topics: [pattern], wantsHeartbeats}`. Faulty words
 * are reported and left out. `event` has `type, channel, source, severity, payload`.
 */
export function compileFilter(text) {
  const parts = parse(text);
  const topics = parts.topics.map(glob);
  const nots = parts.nots.map(glob);
  const sources = parts.sources.map(glob);
  const test = (event) =>
    (topics.length === 0 || matchesTopic(topics, event)) &&
    !matchesTopic(nots, event) &&
    (sources.length === 0 || sources.some((s) => s(event.source ?? ""))) &&
    (parts.severity === 0 || SEVERITIES.indexOf(event.severity) >= parts.severity) &&
    parts.wheres.every((w) => w(event)) &&
    (parts.texts.length === 0 || hasTexts(parts.texts, event));
  return {
    empty: text.trim() === "",
    test,
    faults: parts.faults,
    topics: parts.topics,
    sources: parts.sources,
    wantsHeartbeats: parts.topics.some((t) => t.startsWith("heartbeat")),
  };
}

function hasTexts(texts, event) {
  const body = event.payload === undefined ? event.preview : JSON.stringify(event.payload);
  const hay = `${event.channel} ${event.source ?? ""} ${body}`.toLowerCase();
  return texts.every((text) => hay.includes(text));
}

/** A word for a POSIX shell. */
export const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;

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
    const [kind, value] = option ? [option, token.text] : kindOf(token);
    const fits = said[kind] && !(kind === "source" && (said.source.length > 0 || value.includes("*")));
    if (fits) said[kind].push(value);
    else unsaid.push(option === "severity" || option === "where" ? `${option}:${value}` : token.text);
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
