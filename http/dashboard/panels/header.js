/** The strip that answers the first three questions: may we trade, can I trust this, is someone missing? */

import { h, setAttr, setHidden, setSign, setText, sign, svg } from "../dom.js";
import { age, clock, clip, duration, moment, parseTime } from "../format.js";
import { agentCounts, tradingState } from "../store.js";

/** A check older than this (two polls missed) no longer counts as known. */
const STALE_CHECK_MS = 45_000;

const TRADING = {
  allowed: ["up", "Trading allowed"],
  stopped: ["halted", "Trading stopped"],
  reduce: ["late", "Reduce only"],
  unknown: ["unknown", "State unknown"],
};

/** The trading state as `[sign, words, detail]`. */
export function tradingWords(state, nowMs) {
  if (state.killswitch === null) return ["unknown", state.sources.killswitch.error ? "State not readable" : "Reading state", ""];
  const kind = tradingState(state);
  const [shape, words] = TRADING[kind];
  if (state.link.phase === "lost" && !(nowMs - state.sources.killswitch.at < STALE_CHECK_MS / 2)) {
    return ["unknown", words, `as of ${clock(state.sources.killswitch.at)} UTC, not known since`];
  }
  const { reason, triggered_by: by, last_triggered: at } = state.killswitch;
  if (kind === "allowed") return [shape, words, "no stop in force"];
  if (kind === "unknown") return [shape, words, "agents treat it as stopped"];
  const time = Number.isFinite(parseTime(at)) ? `${moment(parseTime(at), nowMs)} · ` : "";
  return [shape, words, `${time}${clip(String(reason ?? "no reason given"), 90)}${by ? ` · ${by}` : ""}`];
}

/** The link to the daemon as `[sign, value, title]`. */
function linkMark(state, nowMs) {
  const { phase, since, roundTripMs, lastFrameAt } = state.link;
  if (phase === "connecting") return ["unknown", "connecting", "The live link is being set up"];
  if (phase !== "live") return ["down", `lost ${age(nowMs - since)}`, "The live link from this page to the daemon is lost"];
  const trip = Number.isFinite(roundTripMs) ? duration(roundTripMs) : "live";
  return ["up", trip, `Live link from this page to the daemon: round trip ${trip}, last frame ${age(nowMs - lastFrameAt)} ago`];
}

/** A dependency of the daemon (one or several of `/ready`'s checks) as `[sign, value, title]`. */
function checkMark(state, nowMs, names, label) {
  const checks = names.map((name) => state.ready?.checks?.[name]).filter(Boolean);
  const { at, error } = state.sources.ready;
  if (checks.length === 0) return ["unknown", error ? "not readable" : "not known yet", error ?? `${label} has not been checked yet`];
  const old = nowMs - at > STALE_CHECK_MS;
  const bad = checks.find((check) => check.ok === false);
  const said = checks.map((check) => check.message).filter(Boolean).join("; ");
  const title = `${label}: ${said || (bad ? "not working" : "ok")}, checked ${age(nowMs - at)} ago`;
  if (old) return ["unknown", `as of ${age(nowMs - at)} ago`, title];
  if (bad) return ["down", clip(String(bad.message ?? "not working"), 28), title];
  const trip = Number(checks[0].latency_ms);
  return ["up", Number.isFinite(trip) && checks[0].latency_ms !== null ? duration(trip) : "ok", title];
}

function mark(label) {
  const shape = sign("unknown");
  const value = h("span", { class: "figure" }, "–");
  const aged = h("span", { class: "mark-age" });
  const element = h("li", {}, shape, h("span", { class: "mark-label" }, label), value, aged);
  return {
    element,
    set([kind, text, title], ageText) {
      setSign(shape, kind);
      setAttr(element, "data-kind", kind);
      setText(value, text);
      setText(aged, ageText);
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
  return { element, set([kind, text, more]) {
    setSign(shape, kind);
    setAttr(element, "data-kind", kind);
    setText(words, text);
    setText(detail, more);
    setAttr(element, "title", more ? `${text}: ${more}` : text);
  } };
}

function themeButton(themes) {
  const half = svg("path", { d: "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13zm0 1.6v9.8a4.9 4.9 0 1 1 0-9.8z", "fill-rule": "evenodd" });
  const button = h("button", { type: "button", class: "quiet theme" }, svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, half));
  const show = () => {
    const words = `Colours: ${themes.word()}. Press to change`;
    setAttr(button, "aria-label", words);
    setAttr(button, "title", words);
  };
  button.addEventListener("click", () => {
    themes.next();
    show();
  });
  show();
  return button;
}

export function mountHeader(root, { state, onStop, onHelp, themes }) {
  const name = h("strong", { class: "instance" }, "Orchestrator");
  const env = h("span", { class: "env", hidden: true });
  const trading = tradingBlock();
  const marks = { link: mark("Link"), bus: mark("Bus"), store: mark("Store") };
  const counts = { up: countMark("up", "up"), late: countMark("late", "late"), down: countMark("down", "down"), unknown: countMark("unknown", "unknown") };
  const time = h("time", { class: "utc figure", title: "The daemon's clock, in UTC" }, "--:--:--");
  const stop = h("button", { type: "button", class: "stop", id: "stop", on: { click: onStop } }, sign("halted"), "Stop trading…");
  const help = h("button", { type: "button", class: "quiet help", "aria-label": "Keys and help", on: { click: onHelp } }, "?");
  const icon = h("img", { class: "brand", src: "/dashboard/icon.svg", alt: "", width: 20, height: 20 });
  root.append(
    h("div", { class: "who" }, icon, name, env),
    trading.element,
    h("ul", { class: "marks", "aria-label": "What these figures rest on" }, ...Object.values(marks).map((m) => m.element)),
    h("ul", { class: "counts", "aria-label": "Agents" }, ...Object.values(counts).map((c) => c.element)),
    h("div", { class: "tools" }, time, themeButton(themes), help),
    stop,
  );

  function render(nowMs) {
    setText(name, state.instance ?? "Orchestrator");
    setHidden(env, !state.env);
    setText(env, String(state.env ?? "").toUpperCase());
    setAttr(env, "data-env", state.env);
    trading.set(tradingWords(state, nowMs));
    const checked = Number.isFinite(state.sources.ready.at) ? age(nowMs - state.sources.ready.at) : "";
    marks.link.set(linkMark(state, nowMs), state.link.phase === "live" ? age(nowMs - state.link.lastFrameAt) : "");
    marks.bus.set(checkMark(state, nowMs, ["redis"], "Bus (Redis)"), checked);
    marks.store.set(checkMark(state, nowMs, ["postgres", "journal"], "Store (PostgreSQL and journal)"), checked);
    const n = agentCounts(state, nowMs);
    const known = Number.isFinite(state.sources.agents.at);
    for (const kind of ["up", "late", "down", "unknown"]) counts[kind].set(known ? n[kind] : "–", n[kind] === 0 || kind === "up");
    setHidden(counts.unknown.element, n.unknown === 0);
    setText(time, clock(nowMs));
  }
  return { render };
}
