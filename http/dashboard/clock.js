/** The server's time as the page knows it. Pure: samples in, offset out. */

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
