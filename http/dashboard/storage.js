/** What outlives a reload: the page's address, the token (in this tab's session storage, gone when the tab is), the colours, and named views. */

/** The address for `{place, filter, heartbeats, kiosk, selection}`; `selection` is `{event}`, `{agent}` or empty. */
export function addressOf({ place, filter, heartbeats, kiosk, selection }, path) {
  const words = new URLSearchParams();
  if (place !== "desk") words.set("place", place);
  if (filter) words.set("filter", filter);
  if (heartbeats) words.set("heartbeats", "1");
  if (kiosk) words.set("kiosk", "");
  for (const [key, value] of Object.entries(selection)) words.set(key, value);
  const query = words.toString();
  return query ? `?${query}` : path;
}

/** The same from an address; what is missing or makes no sense is null. */
export function shownBy(search) {
  const words = new URLSearchParams(search);
  const event = words.get("event");
  return {
    place: words.get("place") ?? "desk", filter: words.get("filter"), heartbeats: words.has("heartbeats"), kiosk: words.has("kiosk"),
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

/** Views that this browser keeps, and characters of their names and filters. */
export const VIEWS_KEPT = 20;
export const NAME_CHARS = 40;
export const FILTER_CHARS = 500;

const isView = (one) => typeof one?.name === "string" && typeof one.filter === "string" && one.spanMs > 0 && (one.range === null || one.range?.from < one.range?.to);

/** `[{name, filter, heartbeats, spanMs, range}]`, the newest first; `range` is `{from, to}` (ms) or null for now. What makes no sense is left out. */
export function savedViews() {
  try {
    const views = JSON.parse(stored("localStorage", "views"));
    return Array.isArray(views) ? views.filter(isView).slice(0, VIEWS_KEPT) : [];
  } catch {
    return [];
  }
}

export const saveViews = (views) => keep("localStorage", "views", JSON.stringify(views));

/** Keep a view, in the place of one of its name; why it is not kept, or null. */
export function addView(view) {
  const others = savedViews().filter(({ name }) => name !== view.name);
  if (view.name === "" || view.name.length > NAME_CHARS) return `Give it a name of at most ${NAME_CHARS} characters.`;
  if (view.filter.length > FILTER_CHARS) return `Its filter has more than ${FILTER_CHARS} characters.`;
  if (others.length >= VIEWS_KEPT) return `${VIEWS_KEPT} views are kept: delete one first.`;
  return saveViews([view, ...others]) ? null : "This browser keeps nothing for this page.";
}
