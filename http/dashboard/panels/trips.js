/** Every stop in force: level and scope, why, who and when, and a release of its own. */

import { copyButton, h, keyed, setAttr, setHidden, setSign, setText, sign } from "../dom.js";
import { age, moment, parseTime } from "../format.js";
import { levelOf, tripsInForce, tripWords } from "../trading.js";

/** "anna · 21:08:27 UTC (3 s ago)", as far as the trip says. */
function origin(trip, nowMs) {
  const at = parseTime(trip.at ?? trip.timestamp);
  const when = Number.isFinite(at) ? `${moment(at, nowMs)} (${age(nowMs - at)} ago)` : null;
  return [trip.triggered_by, when].filter(Boolean).join(" · ");
}

function makeTrip(onRelease) {
  let trip = {};
  const shape = sign("halted");
  const [title, reason, from] = [h("strong"), h("p", { class: "trip-reason" }), h("p", { class: "trip-from figure" })];
  const id = h("code", { class: "trip" });
  const release = h("button", { type: "button", class: "release", on: { click: () => onRelease(trip) } }, "Release this stop…");
  const copyId = copyButton("copy trip id", () => String(trip.trip_id));
  const element = h("li", { class: "trip-row" }, h("p", { class: "trip-head" }, shape, title), reason, from,
    h("div", { class: "trip-acts" }, release, h("span", { class: "trip-id" }, id, copyId)));
  return { element, update({ trip: next, barred, nowMs }) {
    trip = next;
    const words = tripWords(trip);
    setAttr(element, "data-level", levelOf(trip));
    setSign(shape, levelOf(trip) === "halt" ? "halted" : "late");
    setText(title, words);
    setText(reason, trip.reason || "no reason given");
    setText(from, origin(trip, nowMs));
    setText(id, trip.trip_id ?? "");
    setHidden(id.parentElement, !trip.trip_id);
    setAttr(release, "aria-label", `Release this stop… ${words}`);
    release.disabled = barred || !trip.trip_id;
  } };
}

/** `render({proven, barred, nowMs})`: `barred` while none may be released. */
export function mountTrips({ state, onRelease }) {
  const known = new Map();
  const title = h("h3", { id: "trips-title" });
  const list = h("ul", { class: "trips", "aria-labelledby": "trips-title" });
  const element = h("div", { class: "trips-box", hidden: true }, title, list);
  return { element, render({ proven, barred, nowMs }) {
    const trips = tripsInForce(state.killswitch).map((trip) => ({ trip, barred, nowMs }));
    setHidden(element, trips.length === 0);
    setText(title, proven ? `In force: ${trips.length}` : `In force when last read: ${trips.length}`);
    keyed(list, known, trips, ({ trip }) => trip.trip_id ?? "", () => makeTrip(onRelease));
  } };
}
