/** Figures, times and what fails as an operator's words. Pure: every function takes what it needs and touches nothing. */

const THIN = "\u2009";
export const NONE = "\u2013";

/** 1204312 → "1 204 312", in thin spaces. */
export function count(n) {
  if (!Number.isFinite(n)) return NONE;
  return String(Math.trunc(n)).replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

/** 12480 → "12.5k": for places that are narrow. */
export function compact(n) {
  if (!Number.isFinite(n)) return NONE;
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (Math.abs(n) >= size) {
      const value = n / (unit === "k" ? 1e3 : size);
      return `${value >= 100 ? Math.round(value) : value.toFixed(1)}${unit}`;
    }
  }
  return count(n);
}

/** A rate: with a tenth where it is small. */
export function perSecond(n) {
  return n < 10 ? String(Number(n.toFixed(1))) : compact(n);
}

/** A length of time with one unit and at most three digits. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return NONE;
  const s = Math.max(0, ms) / 1000;
  if (s < 1) return `${Math.round(Math.max(0, ms))} ms`;
  if (s < 10) return `${Number(s.toFixed(1))} s`;
  if (s < 100) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

/** The same without tenths: for ages that are redrawn each second. */
export function age(ms) {
  if (!Number.isFinite(ms)) return NONE;
  return ms < 10000 ? `${Math.floor(Math.max(0, ms) / 1000)} s` : duration(ms);
}

/** Milliseconds since the epoch of an ISO time, or NaN. */
export function parseTime(text) {
  return typeof text === "string" ? Date.parse(text) : NaN;
}

const pad = (n, width = 2) => String(n).padStart(width, "0");

/** "10:02:11" in UTC. */
export function clock(ms) {
  if (!Number.isFinite(ms)) return "--:--:--";
  const d = new Date(ms);
  return `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`;
}

/** "10:02:11.482" in UTC. */
export function clockMs(ms) {
  if (!Number.isFinite(ms)) return "--:--:--.---";
  return `${clock(ms)}.${pad(new Date(ms).getUTCMilliseconds(), 3)}`;
}

/** "10:02 UTC" if today, "31 Jan 10:02 UTC" if not. */
export function moment(ms, nowMs) {
  if (!Number.isFinite(ms)) return NONE;
  const d = new Date(ms);
  const time = `${clock(ms)} UTC`;
  if (new Date(nowMs).toISOString().slice(0, 10) === d.toISOString().slice(0, 10)) return time;
  const month = d.toLocaleString("en-GB", { month: "short", timeZone: "UTC" });
  return `${d.getUTCDate()} ${month} ${time}`;
}

/** A share as "82 %". */
export function percent(fraction) {
  return Number.isFinite(fraction) ? `${Math.round(fraction * 100)}${THIN}%` : NONE;
}

/** A number of unknown size with few digits: 0.0183, 187.32, 12 500. */
export function figure(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NONE;
  if (Number.isInteger(value)) return count(value);
  const size = Math.abs(value);
  if (size >= 1000) return count(Math.round(value));
  if (size >= 1) return value.toFixed(2);
  if (size === 0) return "0";
  return size >= 0.001 ? value.toFixed(4) : value.toExponential(1);
}

/** A price: two decimals at least, since a column of them is compared by eye. */
export function price(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  return size >= 1e6 ? count(value) : size >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(5)));
}

/** "1 agent", "3 agents". */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** At most `limit` characters, the rest said by an ellipsis. */
export function clip(text, limit) {
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

const LIMIT = 160;
/** What servers and systems say of their troubles, to what an operator calls them; the first that fits. */
const KNOWN = [
  [/refused|ECONNREFUSED/i, "refuses connections: is it running?"],
  [/name or service|name resolution|getaddrinfo|not known/i, "its host name is not known here"],
  [/unreachable|no route/i, "the network does not reach it"],
  [/WRONGPASS|NOAUTH|password|authentication/i, "does not accept our user name or password"],
  [/NOPERM|permission denied|not permitted/i, "does not permit what we need"],
  [/No space|ENOSPC|disk full/i, "its disk is full"],
  [/read-?only/i, "takes no writes: it is read-only now"],
  [/too many (clients|connections)|max number of clients/i, "has no connection left for us"],
  [/time[d -]*out|no answer|not answer|silent/i, "does not answer in time"],
  [/reset|broken pipe|closed|EOF|terminat|lost/i, "closed the connection"],
  [/starting up|LOADING|not connected yet|recovery/i, "is starting"],
];
/** A class of exceptions in front of what it says, or around it. */
const EXCEPTION = /^(?:[\w.]+(?:Error|Exception|Failure)\s*[:(]\s*)+|^\[Errno -?\d+\]\s*|^Error -?\d+\s+/;

/** The first line of an error without the names of exceptions; never empty. */
export function plainWords(raw) {
  const text = typeof raw === "string" ? raw.trim() : "";
  const bare = text.replace(EXCEPTION, "").replace(/^["'(]+|["')]+$/g, "").split(/[\r\n]/)[0].trim();
  return bare === "" ? "does not work" : clip(bare, LIMIT);
}

/** What is wrong with a server, as the daemon reports it. */
export function faultWords(raw) {
  const known = KNOWN.find(([pattern]) => pattern.test(String(raw ?? "")));
  return known ? known[1] : plainWords(raw);
}

/** "for 12 s, since 21:08:15 UTC"; empty if nobody knows since when. */
export function lasting(since, nowMs) {
  return Number.isFinite(since) ? `for ${age(nowMs - since)}, since ${clock(since)} UTC` : "";
}

/** A source of the page that cannot be read (of `state.sources`), as one sentence; empty if it can. */
export function unreadable({ at, error, since }, nowMs) {
  if (error === null) return "";
  const shown = Number.isFinite(at) ? ` Shown as of ${clock(at)} UTC.` : "";
  return `Not readable ${lasting(since, nowMs)}. ${error}${/[.!?]$/.test(error) ? "" : "."}${shown}`;
}

const PARTS = [
  ["Bus (Redis)", ["redis"], "Events and heartbeats do not arrive, so agents cannot be seen."],
  ["Store (PostgreSQL)", ["postgres"], "Events wait in the journal meanwhile; older ones cannot be read."],
  ["Journal", ["journal"], "New events cannot be secured on disk."],
  ["Daemon", ["actors"], ""],
];

/** The dependencies that fail, worst first, as sentences. */
export function dependencyFaults(state, nowMs) {
  return PARTS.flatMap(([label, names, effect]) => names.map((name) => {
    const check = state.ready?.checks?.[name];
    if (check?.ok !== false) return "";
    return `${label} not working ${lasting(state.failingSince[name], nowMs)}: ${faultWords(check.message)}. ${effect}`.replace("?.", "?").trim();
  })).filter(Boolean);
}
