/**
 * The live link: one WebSocket, kept up; and the server's time as it tells it.
 *
 * It says what it sees (`onPhase`, `onFrame`) and decides nothing about the content. `since` is asked at
 * each attempt for the id to resume behind: then the socket brings what was missed. Without one (0),
 * the one that holds the events compares the greeting's `cursor` with what it has.
 */

import { protocols } from "./storage.js";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 20_000;
/** The link is proven this often, and counts as dead when nothing came for `SILENCE_MS` after a ping. */
const PING_MS = 2_000;
const SILENCE_MS = 6_000;
/** A link that lived this long starts again with the first wait. */
const HEALTHY_MS = 30_000;

/** How long to wait before attempt `n` (from 0): doubling, with full jitter above half. `random` is in [0, 1). */
export function retryDelay(n, random) {
  const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(n, 10));
  return ceiling / 2 + (ceiling / 2) * random;
}

export class Link {
  #socket = null;
  #attempt = 0;
  #openedAt = 0;
  #pingSentAt = null;
  /** When the first ping was sent that nothing came after; null: the link is proven. (Timers of a hidden page may sleep.) */
  #unprovenSince = null;
  #pinger = null;
  #retry = null;
  #stopped = false;

  /** `onPhase(phase, details)` with `live` or `lost`; `onFrame(frame, size, sentAt)`, `sentAt` for a pong only. */
  constructor({ url, onPhase, onFrame, since = () => 0 }) {
    this.url = url;
    this.since = since;
    /** Whether the socket itself brings what was missed. */
    this.resumes = false;
    this.onPhase = onPhase;
    this.onFrame = onFrame;
  }

  start() {
    this.#connect();
    globalThis.addEventListener?.("online", () => this.#hurry());
    globalThis.document?.addEventListener("visibilitychange", () => {
      if (!globalThis.document.hidden) this.#hurry();
    });
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#drop();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = null;
    const since = this.since();
    this.resumes = since > 0;
    const socket = new WebSocket(this.resumes ? `${this.url}?since=${since}` : this.url, protocols());
    this.#socket = socket;
    this.#unprovenSince = Date.now();
    clearInterval(this.#pinger);
    this.#pinger = setInterval(() => this.#watch(socket), PING_MS);
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (message) => this.#heard(message.data);
    socket.onclose = (closed) => this.#closed(socket, closed.code, closed.reason);
  }

  #opened(socket) {
    this.#openedAt = Date.now();
    this.onPhase("live", {});
    this.#ping(socket);
  }

  #ping(socket) {
    if (socket.readyState !== WebSocket.OPEN) return;
    this.#pingSentAt = Date.now();
    this.#unprovenSince ??= this.#pingSentAt;
    socket.send('{"action":"ping"}');
  }

  #watch(socket) {
    if (this.#unprovenSince !== null && Date.now() - this.#unprovenSince > SILENCE_MS) {
      this.#drop();
      this.#closed(socket, 0, "silent");
    } else this.#ping(socket);
  }

  #heard(text) {
    this.#unprovenSince = null;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame === null || typeof frame !== "object") return;
    const sentAt = frame.type === "pong" ? this.#pingSentAt : null;
    this.onFrame(frame, text.length, sentAt);
  }

  /** Let go of the socket without hearing of it again. */
  #drop() {
    clearInterval(this.#pinger);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #closed(socket, code, reason) {
    if (this.#stopped || (this.#socket !== socket && this.#socket !== null)) return;
    this.#drop();
    if (this.#openedAt && Date.now() - this.#openedAt > HEALTHY_MS) this.#attempt = 0;
    this.#openedAt = 0;
    const waitMs = retryDelay(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.#connect(), waitMs);
    this.onPhase("lost", { code, reason, retryAt: Date.now() + waitMs });
  }

  /** Something suggests that it would work now (or at least that someone is looking). */
  #hurry() {
    if (this.#retry === null || this.#stopped) return;
    this.#attempt = Math.min(this.#attempt, 2);
    this.#connect();
  }
}

const KEPT_SAMPLES = 8;

/**
 * Estimates how far the server's clock is ahead of ours (ms).
 *
 * Of the last samples the one with the shortest round trip wins: its error is at most half of
 * that trip. A sample without a round trip (a greeting) serves until a better one comes.
 */
export class ServerClock {
  #samples = [];
  offsetMs = 0;

  /** Take one sample: the server said `serverMs`, we sent at `sentMs`, it arrived at `nowMs`. */
  sample(serverMs, nowMs, sentMs = null) {
    if (!Number.isFinite(serverMs)) return;
    const tripMs = sentMs === null ? 1000 : Math.max(0, nowMs - sentMs);
    const middle = sentMs === null ? nowMs : (sentMs + nowMs) / 2;
    this.#samples.push({ tripMs, offsetMs: serverMs - middle });
    if (this.#samples.length > KEPT_SAMPLES) this.#samples.shift();
    this.offsetMs = this.#samples.reduce((a, b) => (b.tripMs < a.tripMs ? b : a)).offsetMs;
  }

  /** The server's time for one of ours. */
  at(localMs) {
    return localMs + this.offsetMs;
  }
}
