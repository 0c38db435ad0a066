/** What outlives a reload: the page's address, the token (in this tab's session storage, gone when the tab is), and the colours. */

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

/** What `kind` of storage ("localStorage" or "sessionStorage") holds under `key`; null for nothing, or if it is switched off. */
export function stored(kind, key) {
  try {
    return globalThis[kind]?.getItem(`orchestrator.${key}`) || null;
  } catch {
    return null;
  }
}

/** Keep `text` there; false in a browser that keeps nothing: what is chosen then holds until the page is left. */
export function keep(kind, key, text) {
  try {
    globalThis[kind].setItem(`orchestrator.${key}`, text);
    return true;
  } catch {
    return false;
  }
}

/** The token, or null. */
export const token = () => stored("sessionStorage", "token");
export const keepToken = (text) => globalThis.sessionStorage?.setItem("orchestrator.token", text);
export const dropToken = () => globalThis.sessionStorage?.removeItem("orchestrator.token");

/** What a WebSocket offers: browsers cannot set its headers. */
export const protocols = (text = token()) => (text ? ["bearer", text] : []);

const THEMES = ["auto", "light", "dark"];

/** Light, dark, or as the system has it. */
export function themes() {
  let name = THEMES.find((one) => one === stored("localStorage", "theme")) ?? "auto";
  const apply = () => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
  };
  apply();
  return {
    word: () => name,
    next() {
      name = THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];
      apply();
      keep("localStorage", "theme", name);
    },
  };
}
