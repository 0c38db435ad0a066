/** What fails, in an operator's words and with its age. Pure. */

import { age, clip, clock } from "./format.js";

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

/** "for 12 s, since 21:08:15 UTC"; empty if since when is unknown. */
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
