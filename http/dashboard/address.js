/** What is shown, as the words of the page's address: so that it can be sent to a colleague. Pure. */

/** The address for `{place, filter, heartbeats, selection}`; `selection` is `{event}`, `{agent}` or empty. */
export function addressOf({ place, filter, heartbeats, selection }, path) {
  const words = new URLSearchParams();
  if (place !== "desk") words.set("place", place);
  if (filter) words.set("filter", filter);
  if (heartbeats) words.set("heartbeats", "1");
  for (const [key, value] of Object.entries(selection)) words.set(key, value);
  const query = words.toString();
  return query ? `?${query}` : path;
}

/** The same from an address; what is missing or makes no sense is null. */
export function shownBy(search) {
  const words = new URLSearchParams(search);
  const event = words.get("event");
  return {
    place: words.get("place") ?? "desk", filter: words.get("filter"), heartbeats: words.has("heartbeats"),
    agent: words.get("agent"), event: /^\d+$/.test(event ?? "") ? event : null,
  };
}
