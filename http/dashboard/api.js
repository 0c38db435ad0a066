/**
 * The REST calls, with a budget; and who this page is to the daemon (`/whoami`), what that allows, and how it says so.
 *
 * The daemon answers 60 counted calls a minute and address, shared with whatever else runs here;
 * the page spends at most `BUDGET` of them. Calls to the killswitch, `/health` and `/ready` are free.
 */

import { token } from "./storage.js";

/** Counted calls in any 60 s. Two tabs and a script fit under the limit together. */
const BUDGET = 24;
const WINDOW_MS = 60_000;
const TIMEOUT_MS = 8_000;
/** A stop is worth a longer wait: it is retried by the person, not by the page. */
const STOP_TIMEOUT_MS = 15_000;
/** After a 429 that does not say. */
const LEAST_WAIT_MS = 5_000;
const FREE = /^\/(risk\/killswitch|health$|ready$|metrics$)/;

/** A call that did not bring what was asked for; `message` can be shown as it is. `spared`: it was never sent. */
export class ApiError extends Error {
  constructor(message, { status = 0, retryAfterMs = 0, body = null, spared = false } = {}) {
    super(message);
    this.spared = spared;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.body = body;
  }
}

/** A sliding window of calls. Pure: `nowMs` comes in. */
export class Budget {
  #calls = [];
  #blockedUntil = 0;

  constructor(limit = BUDGET, windowMs = WINDOW_MS) {
    this.limit = limit;
    this.windowMs = windowMs;
  }

  /** Spend one call; false if there is none left. A person's order always goes through, and three reads of what came of it. */
  take(nowMs, ordered) {
    this.#calls = this.#calls.filter((at) => at > nowMs - this.windowMs);
    if (ordered) this.#calls.splice(0, 4);
    if (!ordered && (nowMs < this.#blockedUntil || this.#calls.length >= this.limit)) return false;
    this.#calls.push(nowMs);
    return true;
  }

  /** Calls that are left now. */
  left(nowMs) {
    if (nowMs < this.#blockedUntil) return 0;
    return this.limit - this.#calls.filter((at) => at > nowMs - this.windowMs).length;
  }

  /** The server said 429: nothing more until then. */
  block(untilMs) {
    this.#blockedUntil = Math.max(this.#blockedUntil, untilMs);
  }
}

async function readBody(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

export class Api {
  /** `onAnswer(body, sentMs, receivedMs)` sees every answer (for the clock); `onRefused()`: a token is needed. */
  constructor({ base = ".", onAnswer = () => {}, onRefused = () => {} } = {}) {
    this.onRefused = onRefused;
    this.base = base;
    this.budget = new Budget();
    this.onAnswer = onAnswer;
  }

  async #call(method, path, body, { accept = [], timeoutMs = TIMEOUT_MS, read = readBody, ordered = method !== "GET" } = {}) {
    const sentMs = Date.now();
    if (!FREE.test(path.split("?")[0]) && !this.budget.take(sentMs, ordered)) {
      throw new ApiError("The page spares the daemon: too many calls in the last minute. Try again in a moment.", { status: 429, spared: true });
    }
    const request = { method, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(timeoutMs) };
    if (body !== undefined) Object.assign(request, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const bearer = token();
    if (bearer) request.headers = { ...request.headers, Authorization: `Bearer ${bearer}` };
    let response;
    try {
      response = await fetch(this.base + path, request);
    } catch (error) {
      throw new ApiError(error.name === "TimeoutError" ? `No answer within ${timeoutMs / 1000} s.` : "The daemon cannot be reached.");
    }
    const answer = await read(response);
    if (answer?.timestamp) this.onAnswer(answer, sentMs, Date.now());
    if (response.ok || accept.includes(response.status)) return answer ?? {};
    throw this.#failure(response, answer);
  }

  #failure(response, answer) {
    if (response.status === 401) this.onRefused();
    const retryAfterMs = (Number(response.headers.get("Retry-After")) || 0) * 1000;
    if (response.status === 429) {
      const waitMs = Math.max(retryAfterMs, LEAST_WAIT_MS);
      this.budget.block(Date.now() + waitMs);
      return new ApiError(`This address has asked too much in a minute: the page asks again in ${Math.ceil(waitMs / 1000)} s.`, { status: 429, retryAfterMs: waitMs });
    }
    const words = [answer?.error, answer?.message].filter((w) => typeof w === "string" && w !== "").join(": ");
    return new ApiError(words || `The daemon answered ${response.status}.`, { status: response.status, retryAfterMs, body: answer });
  }

  agents = () => this.#call("GET", "/health/agents");
  regime = () => this.#call("GET", "/regime/state");
  /** As text. */
  metrics = () => this.#call("GET", "/metrics", undefined, { read: (response) => response.text() });
  letters = () => this.#call("GET", "/runtime/dead-letters");
  books = () => this.#call("GET", "/runtime/books");
  actors = () => this.#call("GET", "/runtime/actors");
  whoami = () => this.#call("GET", "/whoami");
  managed = () => this.#call("GET", "/runtime/agents");
  agentLogs = (id, query) => this.#call("GET", `/runtime/agents/${encodeURIComponent(id)}/logs?${new URLSearchParams(query)}`, undefined, { ordered: true });
  /** `act`: start, stop, restart or resume. */
  actOnAgent = (id, act) => this.#call("POST", `/runtime/agents/${encodeURIComponent(id)}/${act}`, {});
  restartActor = (name) => this.#call("POST", `/runtime/actors/${encodeURIComponent(name)}/restart`, {});
  drill = () => this.#call("POST", "/risk/killswitch/drill", {});
  health = () => this.#call("GET", "/health");
  ready = () => this.#call("GET", "/ready", undefined, { accept: [503] });
  killswitch = () => this.#call("GET", "/risk/killswitch");
  emit = (type, payload) => this.#call("POST", "/bus/events", { type, payload, source: "dashboard" });
  markProcessed = (ids) => this.#call("POST", "/bus/events/processed", { ids });
  event = (id) => this.#call("GET", `/bus/events/${id}`);

  /** A page of events; `query` as in contract.md §2, arrays repeat their key. */
  events(query) {
    const words = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) words.append(key, String(one));
    }
    return this.#call("GET", `/bus/events?${words}`);
  }

  /** Counts by time; `query` is `{from, to, buckets}`. */
  histogram = (query) => this.#call("GET", `/bus/histogram?${new URLSearchParams(query)}`);

  /** `target`: `{level, scope}`. */
  stop = (reason, target) => this.#call("POST", "/risk/killswitch", { reason, ...target }, { timeoutMs: STOP_TIMEOUT_MS });
  release = (tripId, reason) => this.#call("POST", "/risk/killswitch/release", { trip_id: tripId, reason }, { timeoutMs: STOP_TIMEOUT_MS });
}

const RANKS = { viewer: 1, tripper: 2, operator: 3 };
/** What can be asked for: the least role, and the words. */
const ACTS = {
  stop: ["tripper", "stop trading"],
  drill: ["tripper", "measure the way to every agent"],
  release: ["operator", "release a stop"],
  agents: ["operator", "start, stop or restart agents"],
  actors: ["operator", "restart actors"],
  events: ["operator", "write or mark events"],
};

/** `role`: "viewer", "tripper", "operator", null while it is unknown, or "asked": nothing before a token is given. */
export function createAccess(hasToken) {
  return { role: null, name: null, hasToken };
}

/** The daemon's answer to `/whoami`. */
export function applyIdentity(access, { role, name }) {
  if (access.role === "asked" || !Object.hasOwn(RANKS, role)) return [];
  Object.assign(access, { role, name: typeof name === "string" ? name : null });
  return ["header", "killswitch", "agents", "actors", "events"];
}

/** Why `act` cannot be done with this token; null if it can, or if only trying will tell. */
export function objectionTo(access, act) {
  const [needs, words] = ACTS[act];
  if (!(RANKS[access.role] < RANKS[needs])) return null;
  return `Your role ${access.role} may not ${words}: that needs the role ${needs}.`;
}

/** Which daemon this is: "desk-a (PAPER)". */
export const deskWords = ({ instance, env }) => `${instance ?? "this daemon"}${env ? ` (${String(env).toUpperCase()})` : ""}`;

/** Who I am, in a word or two. */
export function roleWords({ role, name, hasToken }) {
  if (!hasToken) return "no sign-in";
  if (!Object.hasOwn(RANKS, role)) return "signed in";
  return name === null || name === role ? role : `${name} (${role})`;
}

const MEANINGS = {
  viewer: "Your token may read. It may not stop trading, release a stop or act.",
  tripper: "Your token may read and stop trading. It may not release a stop or act.",
  operator: "Your token may read, stop trading, release a stop and act.",
};

/** The same as a sentence. */
export function roleMeaning({ role, hasToken }) {
  if (!hasToken) return "This daemon has no tokens: everyone who reaches this page may do everything.";
  return MEANINGS[role] ?? "Your token may read; what else it may do is not known yet.";
}
