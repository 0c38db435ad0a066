/**
 * The strip that answers the first three questions: may we trade, can I trust this, is someone missing? And who asks: signing in
 * with a token, who is signed in, and the way out.
 *
 * The token is tried by one call before the page uses it: with all of the page's calls a wrong one
 * would soon be one too many.
 */

import { objectionTo, roleMeaning, roleWords } from "../api.js";
import { agentCounts } from "../agent_state.js";
import { linkState } from "../announcer.js";
import { MAKE_TOKEN } from "../commands.js";
import { button, closeOutside, h, quiet, setAttr, setBarred, setHidden, setSign, setText, sign, svg } from "../dom.js";
import { age, clock, duration, faultWords, lasting } from "../format.js";
import { dropToken, keepToken, token } from "../storage.js";
import { PROOF_MS, trading } from "../trading.js";
import { field, makeDialog, outcomeLine } from "./acts.js";

/** A check older than this (two polls missed) no longer counts as known. */
const STALE_CHECK_MS = 45_000;

/** The link to the daemon as `[sign, word, value, title]`. */
function linkMark(state, nowMs) {
  const { phase, since, roundTripMs, lastFrameAt } = state.link;
  if (phase === "connecting") return ["unknown", "…", "", "The live link is being set up"];
  if (phase === "live" && nowMs - lastFrameAt > PROOF_MS) return ["down", "silent", age(nowMs - lastFrameAt), `Nothing comes by the live link ${lasting(lastFrameAt, nowMs)}`];
  if (phase !== "live") return ["down", "lost", age(nowMs - since), `The live link from this page to the daemon is lost ${lasting(since, nowMs)}`];
  const trip = Number.isFinite(roundTripMs) ? duration(roundTripMs) : "";
  return ["up", "ok", trip, `Live link from this page to the daemon: round trip ${trip || "not measured yet"}, last frame ${age(nowMs - lastFrameAt)} ago`];
}

/** A dependency of the daemon (one or several of `/ready`'s checks) as `[sign, word, value, title]`. */
function checkMark(state, nowMs, names, label) {
  const known = names.filter((name) => state.ready?.checks?.[name]);
  const { at, error } = state.sources.ready;
  if (known.length === 0) return ["unknown", "?", "", error ?? `${label} has not been checked yet`];
  const bad = known.find((name) => state.ready.checks[name].ok === false);
  const checked = `checked ${age(nowMs - at)} ago`;
  const fromBefore = linkState(state.link, nowMs) === "lost";
  if (fromBefore || nowMs - at > STALE_CHECK_MS) return ["unknown", "?", `as of ${age(nowMs - at)} ago`, `${label}: not known now, ${checked}`];
  if (bad) {
    const since = state.failingSince[bad];
    return ["down", "down", age(nowMs - since), `${label} not working ${lasting(since, nowMs)}: ${faultWords(state.ready.checks[bad].message)}; ${checked}`];
  }
  const trip = state.ready.checks[known[0]].latency_ms;
  return ["up", "ok", Number.isFinite(trip) ? duration(trip) : "", `${label}: working, ${checked}`];
}

function mark(label) {
  const shape = sign("unknown");
  const word = h("span", { class: "mark-word" });
  const value = h("span", { class: "mark-value figure" });
  const element = h("li", {}, shape, h("span", { class: "mark-label" }, label), word, value);
  return {
    element,
    set([kind, text, more, title]) {
      setSign(shape, kind);
      setAttr(element, "data-kind", kind);
      setText(word, text);
      setText(value, more);
      setAttr(element, "title", title);
    },
  };
}

function countMark(kind, word) {
  const figure = h("b", { class: "figure" }, "–");
  const shape = sign(kind);
  const element = h("li", {}, shape, figure, h("span", {}, word));
  return {
    element,
    set(n, calm) {
      setText(figure, n);
      setAttr(element, "data-calm", calm);
      setHidden(element, false);
    },
  };
}

function tradingBlock() {
  const shape = sign("unknown");
  const words = h("strong", {}, "Reading state");
  const detail = h("span", { class: "trading-detail" });
  const element = h("a", { class: "trading", href: "#killswitch" }, shape, words, detail);
  return { element, set(now) {
    setSign(shape, now.sign);
    setAttr(element, "data-kind", now.sign);
    setText(words, now.words);
    setText(detail, now.detail);
    setAttr(element, "title", [now.words, now.detail].filter(Boolean).join(": "));
  } };
}

function themeButton(themes) {
  const half = svg("path", { d: "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13zm0 1.6v9.8a4.9 4.9 0 1 1 0-9.8z", "fill-rule": "evenodd" });
  const element = button(svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, half), () => {
    themes.next();
    show();
  }, { class: "quiet theme" });
  const show = () => ["aria-label", "title"].forEach((name) => setAttr(element, name, `Colours: ${themes.word()}. Press to change`));
  show();
  return element;
}

export function mountHeader(root, { state, onStop, onHelp, onAccount, themes }) {
  const name = h("strong", { class: "instance" }, "Orchestrator");
  const env = h("span", { class: "env", hidden: true });
  const block = tradingBlock();
  const marks = { link: mark("Link"), bus: mark("Bus"), store: mark("Store") };
  const counts = { up: countMark("up", "up"), late: countMark("late", "late"), down: countMark("down", "down"), unknown: countMark("unknown", "unknown") };
  const time = h("time", { class: "utc figure", title: "The daemon's clock, in UTC" }, "--:--:--");
  const stop = button([sign("halted"), "Stop trading…"], onStop, { class: "stop", id: "stop" });
  const help = button("?", onHelp, { class: "quiet help", "aria-label": "Keys and help" });
  const account = button("", onAccount, { class: "quiet account", "aria-haspopup": "dialog" });
  const icon = h("img", { class: "brand", src: "dashboard/icon.svg", alt: "", width: 20, height: 20 });
  root.append(
    h("div", { class: "who" }, icon, name, env),
    block.element,
    h("div", { class: "trust" },
      h("ul", { class: "marks", "aria-label": "What these figures rest on" }, ...Object.values(marks).map((m) => m.element)),
      h("ul", { class: "counts", "aria-label": "Agents" }, ...Object.values(counts).map((c) => c.element))),
    h("div", { class: "tools" }, time, account, themeButton(themes), help),
    stop,
  );

  function renderWho() {
    setText(name, state.instance ?? "Orchestrator");
    setAttr(name, "title", state.instance);
    setHidden(env, !state.env);
    setText(env, String(state.env ?? "").toUpperCase());
    setAttr(document.body, "data-env", state.env === null ? null : String(state.env).toLowerCase());
    setText(account, roleWords(state.access));
    setAttr(account, "title", roleMeaning(state.access));
  }

  function renderCounts(nowMs) {
    const n = agentCounts(state, nowMs);
    const known = Number.isFinite(state.sources.agents.at);
    for (const kind of Object.keys(counts)) counts[kind].set(known ? n[kind] : "–", n[kind] === 0 || kind === "up");
    setHidden(counts.unknown.element, n.unknown === 0);
    const apart = n.stopped ? `, ${n.stopped} stopped on purpose` : "";
    setAttr(counts.up.element, "title", `${n.up} of ${n.total} agents up${apart}`);
  }

  function render(nowMs) {
    renderWho();
    setBarred(stop, objectionTo(state.access, "stop"));
    block.set(trading(state, nowMs));
    marks.link.set(linkMark(state, nowMs));
    marks.bus.set(checkMark(state, nowMs, ["redis"], "Bus (Redis)"));
    marks.store.set(checkMark(state, nowMs, ["postgres", "journal"], "Store (PostgreSQL and journal)"));
    renderCounts(nowMs);
    setText(time, clock(nowMs));
  }
  return { render };
}

/** `onSignOut` is null where there is nothing to sign out of. */
export function mountAccount({ state, onSignOut }) {
  const who = h("dd", {});
  const where = h("dd", {});
  const meaning = h("p", {});
  const dialog = makeDialog("account", "", "Who you are here",
    h("dl", { class: "facts" }, h("dt", {}, "You"), who, h("dt", {}, "Daemon"), where),
    meaning, h("div", { class: "acts" }, onSignOut && button("Sign out", onSignOut), quiet("Close", () => dialog.close())));
  closeOutside(dialog);
  return { open() {
    setText(who, roleWords(state.access));
    setText(where, [state.instance ?? "this daemon", String(state.env ?? "").toUpperCase(), location.host].filter(Boolean).join(" · "));
    setText(meaning, roleMeaning(state.access));
    dialog.showModal();
  } };
}

const TRIED_BY = "./risk/killswitch"; // needs a viewer, and counts for nobody's limit
const TOKEN = /^[A-Za-z0-9._~+/-]{1,512}=*$/;

/** What stands against this token, in words; null if nothing does. */
export async function objection(text, { call = (path, request) => fetch(path, request) } = {}) {
  if (!TOKEN.test(text)) return "That is no token.";
  let response;
  try {
    response = await call(TRIED_BY, { cache: "no-store", credentials: "omit", headers: { Authorization: `Bearer ${text}` } });
  } catch {
    return "The daemon cannot be reached.";
  }
  if (response.status === 401) return "The daemon does not know this token.";
  if (response.status === 429) return `There were too many wrong tokens. Wait ${Number(response.headers.get("Retry-After")) || 60} s.`;
  return null;
}

/** Forget the token; whatever is asked for next is asked as a stranger. */
export function signOut() {
  dropToken();
  location.reload();
}

/** `onAsk()`: from now on the page has nothing to show. */
export function mountSignIn({ state, onAsk }) {
  const input = h("input", { id: "sign-in-token", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const { element: outcome, say } = outcomeLine();
  const submit = h("button", { type: "submit" }, "Sign in");
  const form = h("form", { on: { submit: send } },
    field("Your access token", input),
    h("p", { class: "note" }, "It is kept for this tab only. On the machine, ", h("code", {}, MAKE_TOKEN), " makes one."),
    outcome, h("div", { class: "acts" }, submit));
  const name = h("h2", { id: "sign-in-title" }, "Sign in");
  const env = h("span", { class: "env", hidden: true });
  const dialog = h("dialog", { id: "sign-in", class: "dialog", "aria-labelledby": "sign-in-title" },
    h("div", { class: "sign-in-head" }, name, env), form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);

  async function send(event) {
    event.preventDefault();
    const text = input.value.trim();
    submit.disabled = true;
    const words = await objection(text);
    submit.disabled = false;
    if (words !== null) return say(words);
    keepToken(text);
    location.reload();
  }

  /** Whose sign-in this is, once `/health` has said it. */
  function render() {
    setText(name, `Sign in to ${state.instance ?? "this daemon"}`);
    setText(env, String(state.env ?? "").toUpperCase());
    setHidden(env, !state.env);
  }

  return {
    render,
    /** Whatever is called meanwhile is refused as well: one question is enough. */
    ask() {
      if (dialog.open) return;
      onAsk();
      render();
      if (token() !== null) say("The daemon does not know this token.");
      dropToken();
      dialog.showModal();
      input.focus();
    },
  };
}
