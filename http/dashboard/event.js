/** An event as the page keeps it, from whichever way it came. Pure. */

import { preview, severity } from "./preview.js";

/** Larger payloads are not kept in the page, but read again when they are opened. */
const MAX_PAYLOAD_CHARS = 16384;

/** An event row from a `redis_event` frame or a REST row. `size` is the frame's length in characters. */
export function toEvent(raw, size = 0) {
  const type = String(raw.eventType ?? raw.type);
  const payload = raw.eventType === undefined ? raw.payload : raw.data;
  const source = typeof raw.source === "string" ? raw.source : null;
  const ts = raw.eventType === undefined ? raw.ts : raw.timestamp;
  return {
    kind: "event",
    id: raw.id,
    type,
    channel: String(raw.channel ?? (type === "heartbeat" && source ? `heartbeat.${source}` : type)),
    source,
    ts: Date.parse(ts),
    payload: size > MAX_PAYLOAD_CHARS ? undefined : payload,
    preview: preview(type, payload),
    severity: severity(type, payload),
  };
}
