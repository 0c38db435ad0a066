/** The API reference: /openapi.json and /asyncapi.json as a page to read, search and copy from. */

import { MAKE_TOKEN } from "../commands.js";
import { h, setHidden, setText, svg } from "../dom.js";
import { themes } from "../storage.js";
import { finds, grouped } from "./describe.js";
import { channelCard, method, operationCard, pathWords } from "./operation.js";
import { paragraphs } from "./text.js";

const TIMEOUT_MS = 10_000;
const $ = (id) => document.getElementById(id);

const changes = [];
let withToken = false;
const options = { base: () => new URL(".", location.href).href.slice(0, -1), token: () => withToken, onChange: (update) => changes.push(update) };

// ---- reading ---------------------------------------------------------------------------------

class Refused extends Error {}

async function read(path, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (response.status === 401 || response.status === 403) throw new Refused();
  if (!response.ok) throw new Error(`${path} was answered ${response.status}`);
  return response.json();
}

async function start(token = "") {
  try {
    const [rest, bus] = await Promise.all([read("./openapi.json", token), read("./asyncapi.json", token)]);
    withToken = token !== "";
    show(rest, bus);
  } catch (error) {
    $("content").replaceChildren(error instanceof Refused ? signIn(token !== "") : trouble(error));
  }
}

/** The token stays in this page's memory: it is gone when the page is. */
function signIn(again) {
  const input = h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-label": "Token" });
  const form = h("form", { class: "sign-in" },
    h("h2", {}, "This daemon asks for a token"),
    h("p", {}, again ? "That token is not accepted. " : "", "Any role may read the reference: ", h("code", {}, MAKE_TOKEN), " makes one."),
    h("div", { class: "sign-in-row" }, input, h("button", { type: "submit" }, "Read")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start(input.value.trim());
  });
  return form;
}

function trouble(error) {
  const again = h("button", { type: "button", on: { click: () => start() } }, "Try again");
  return h("div", { class: "trouble", role: "alert" }, h("h2", {}, "The description cannot be read"), h("p", {}, `${error.message}. Is the daemon running?`), again);
}

// ---- the page --------------------------------------------------------------------------------

function show(rest, bus) {
  const entries = [];
  const blocks = [intro(rest)];
  const lists = [];
  for (const group of grouped(rest)) {
    add(group.tag, group.text, group.operations.map((one) => ({ id: one.id, ...operationCard(rest, one, options), link: [method(one.method), h("code", {}, pathWords(one.path))] })));
  }
  add("Bus and WebSocket", bus.info.description, Object.entries(bus.channels).map(([key, channel]) => ({
    id: `channel-${key}`, ...channelCard(bus, key, channel, actionsOf(bus, key)), link: [h("code", {}, channel.address.replace(/^\//, "ws /"))],
  })));

  function add(title, text, cards) {
    const id = `group-${title.toLowerCase().replaceAll(/\W+/g, "-")}`;
    const block = h("section", { class: "group", id }, h("h2", {}, title), paragraphs(text, { class: "group-text" }), cards.map((card) => card.element));
    const links = cards.map((card) => h("li", {}, h("a", { href: `#${card.id}`, data: { id: card.id } }, card.link)));
    const list = h("div", { class: "contents-group" }, h("h2", {}, h("a", { href: `#${id}` }, title)), h("ul", {}, links));
    blocks.push(block);
    lists.push(list);
    entries.push({ block, list, cards: cards.map((card, index) => ({ element: card.element, link: links[index], words: `${title} ${card.words}` })) });
  }

  const nothing = h("p", { class: "nothing", hidden: true });
  $("content").replaceChildren(...blocks, nothing);
  mountContents(lists, (query) => search(entries, nothing, query));
  mountBar(rest);
  follow(entries);
  if (location.hash) $(location.hash.slice(1))?.scrollIntoView();
}

/** What the daemon sends on a channel and what it takes, by the names of the payloads. */
function actionsOf(bus, key) {
  const titles = key.startsWith("stream") ? { send: "From the daemon", receive: "To the daemon" } : { receive: "Published by agents", send: "Published by the daemon" };
  return Object.values(bus.operations).filter((one) => one.channel.$ref === `#/channels/${key}`).map((one) => ({
    title: titles[one.action], names: new Set(one.messages.map((message) => message.$ref.split("/").pop())),
  })).sort((one, other) => one.title.localeCompare(other.title));
}

function intro(rest) {
  return h("section", { class: "intro" }, h("h1", {}, "API reference"), paragraphs(rest.info.description),
    h("p", { class: "files" }, h("a", { href: "openapi.json" }, "openapi.json"), h("a", { href: "asyncapi.json" }, "asyncapi.json")));
}

function mountBar(rest) {
  const box = h("input", { type: "checkbox", id: "with-token" });
  box.checked = withToken;
  box.addEventListener("change", () => {
    withToken = box.checked;
    for (const update of changes) update();
  });
  $("bar").replaceChildren(
    h("a", { href: "./", class: "home" }, h("img", { src: "dashboard/icon.svg", alt: "", width: "18", height: "18" }), h("strong", {}, rest.info.title)),
    h("span", { class: "version" }, rest.info.version),
    h("label", { class: "with-token" }, box, h("span", {}, "token in commands")),
    themeButton());
}

function themeButton() {
  const scheme = themes();
  const half = svg("path", { d: "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13zm0 1.6v9.8a4.9 4.9 0 1 1 0-9.8z", "fill-rule": "evenodd" });
  const button = h("button", { type: "button", class: "quiet theme" }, svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, half));
  const say = () => button.setAttribute("aria-label", `Colours: ${scheme.word()}. Press to change`);
  button.addEventListener("click", () => {
    scheme.next();
    say();
  });
  say();
  return button;
}

// ---- contents and search ---------------------------------------------------------------------

function mountContents(lists, onSearch) {
  const narrow = matchMedia("(max-width: 899px)");
  const field = h("input", { type: "search", placeholder: narrow.matches ? "Search" : "Search (press /)", "aria-label": "Search the reference", autocomplete: "off", spellcheck: "false" });
  field.addEventListener("input", () => onSearch(field.value));
  const tree = h("details", { class: "tree", open: !narrow.matches }, h("summary", {}, "Contents"), lists);
  narrow.addEventListener("change", () => { tree.open = !narrow.matches; });
  tree.addEventListener("click", (event) => {
    if (narrow.matches && event.target.closest("a")) tree.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      field.focus();
      field.select();
    }
    if (event.key === "Escape" && event.target === field) {
      field.value = "";
      onSearch("");
    }
  });
  $("contents").replaceChildren(field, tree);
}

function search(entries, nothing, query) {
  let found = 0;
  for (const { block, list, cards } of entries) {
    let here = 0;
    for (const card of cards) {
      const hit = finds(query, card.words);
      setHidden(card.element, !hit);
      setHidden(card.link, !hit);
      here += hit ? 1 : 0;
    }
    setHidden(block, here === 0);
    setHidden(list, here === 0);
    found += here;
  }
  setHidden(nothing, found > 0);
  setText(nothing, `Nothing here has all of “${query.trim()}”.`);
  setText($("news"), query.trim() ? `${found} found` : "");
}

/** Mark in the contents what is being read. */
function follow(entries) {
  const links = new Map(entries.flatMap((entry) => entry.cards.map((card) => [card.element, card.link.firstElementChild])));
  let current = null;
  const watcher = new IntersectionObserver((seen) => {
    const top = seen.filter((one) => one.isIntersecting).map((one) => one.target)[0];
    if (!top) return;
    current?.removeAttribute("aria-current");
    current = links.get(top);
    current?.setAttribute("aria-current", "true");
  }, { rootMargin: "-60px 0px -75% 0px" });
  for (const element of links.keys()) watcher.observe(element);
}

start();
