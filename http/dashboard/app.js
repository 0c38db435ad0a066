/**
 * Puts the page together: link → store and event log → panels.
 *
 * Frames change the state as they come (dom.js says when to draw). Once a second all is drawn, for the ages.
 */

import { addressOf, shownBy, themes, token } from "./storage.js";
import { mountAnnouncer } from "./announcer.js";
import { Api } from "./api.js";
import { Link, ServerClock } from "./link.js";
import { scheduleDrawing } from "./dom.js";
import { MARKED_TYPES, toEvent } from "./event.js";
import { EventLog } from "./event_log.js";
import { History } from "./history.js";
import { parseTime } from "./format.js";
import { listenToKeys, mountDetails, mountHelp, mountPlaces } from "./panels/navigation.js";
import { mountAccount, mountHeader, mountSignIn, signOut } from "./panels/header.js";
import { mountAgents } from "./panels/agents.js";
import { mountEvents } from "./panels/events.js";
import { mountKillswitch } from "./panels/killswitch.js";
import { mountRegime } from "./panels/regime.js";
import { mountReleaseDialog } from "./panels/release_dialog.js";
import { mountStopDialog } from "./panels/stop_dialog.js";
import { mountSupervision } from "./panels/supervision.js";
import { mountSystem } from "./panels/system.js";
import * as store from "./store.js";
import { Sync } from "./sync.js";

const clock = new ServerClock();
const now = () => clock.at(Date.now());
const state = store.createState({ hasToken: token() !== null });
state.link.since = now();
const changed = scheduleDrawing(draw);
const log = new EventLog();
const signIn = mountSignIn({ state, onAsk });
const api = new Api({ onRefused: signIn.ask, onAnswer: (body, sentMs, receivedMs) => clock.sample(parseTime(body.timestamp), receivedMs, sentMs) });
const history = new History({ state, log, api, now, changed });
const sync = new Sync({ state, log, api, history, now, changed });
const $ = (id) => document.getElementById(id);

const stopDialog = mountStopDialog({ state, api, onStopped: () => sync.soon("killswitch", 0), onRefused: () => sync.whoAmI() });
const releaseDialog = mountReleaseDialog({ state, api, now, onReleased: () => sync.soon("killswitch", 0), onRefused: () => sync.whoAmI() });
const help = mountHelp();
const account = mountAccount({ state, onSignOut: token() ? signOut : null });
const details = mountDetails($("details"), {
  state, api, now,
  onFilter: (words) => {
    goTo("events");
    events.setFilter(words);
  },
  onOpenEvent: openEvent,
  onMove: (step) => events.move(step),
  onActed: () => ["agents", "actors", "managed"].forEach((name) => sync.soon(name)),
  onClose: () => {
    selection = {};
    events.unselect();
    remember();
  },
});
const events = mountEvents($("events"), { state, log, api, history, onSelect: openEvent, onStored: readEvent, onChange: remember, onSpan: () => sync.read("histogram") });
const places = mountPlaces($("places"), { state, onStop: stopDialog.open, onChange: () => {
  remember();
  sync.tick();
  changed(["events", "actors", "system"]);
} });
const announcer = mountAnnouncer({ state });
const panels = {
  header: mountHeader($("strip"), { state, onStop: stopDialog.open, onHelp: help.open, onAccount: account.open, themes: themes() }),
  killswitch: mountKillswitch($("killswitch"), { state, onStop: stopDialog.open, onRelease: releaseDialog.open, onRetry: () => sync.read("killswitch"), onDrill: () => api.drill().then(() => sync.read("killswitch")) }),
  agents: mountAgents($("agents"), { state, onSelect: openAgent, onRetry: () => sync.read("agents") }),
  regime: mountRegime($("regime"), { state, onEarlier: () => sync.regimeHistory(), onPick: (from, to) => {
    goTo("events");
    events.showRange(from, to);
  } }),
  events,
  details,
  actors: mountSupervision($("supervision"), { state, onRetry: () => sync.read("actors"), onSelect: (name) => details.showActor(name), onSystem: () => goTo("system") }),
  system: mountSystem($("system"), { state, onRetry: () => sync.read("metrics"), onBack: () => goTo("supervision") }),
};

/* ---- what is open ---- */
let selection = {};

function openEvent(event) {
  selection = { event: event.id };
  details.showEvent(event);
  remember();
}

function readEvent(id) {
  return api.event(id).then((answer) => openEvent(toEvent(answer.event)), () => {});
}

function openAgent(id) {
  if (!state.agents.has(id)) return;
  selection = { agent: id };
  details.showAgent(id);
  remember();
}

function remember() {
  const shown = { place: places.place, filter: events.filterText, heartbeats: events.showsBeats, kiosk: "kiosk" in document.body.dataset, selection };
  window.history.replaceState(null, "", addressOf(shown, location.pathname));
}

async function recall() {
  const { place, filter, heartbeats, kiosk, agent, event } = shownBy(location.search);
  if (kiosk) document.body.dataset.kiosk = "";
  if (heartbeats) events.setBeats(true);
  if (filter) events.setFilter(filter);
  places.go(place);
  await sync.start();
  if (agent) openAgent(agent);
  else if (event) await readEvent(event);
}

function goTo(section) {
  const phone = matchMedia("(max-width: 719px)").matches;
  if (section === "system") places.go(section);
  else if (phone) places.go({ killswitch: "desk", supervision: "agents" }[section] ?? section);
  else if (places.place === "system") places.go("desk");
  $(section).focus();
}

/* ---- drawing ---- */

function draw(names) {
  const nowMs = now();
  for (const name of names) panels[name]?.render(nowMs);
  announcer.render(nowMs);
  signIn.render();
  places.render();
}

/* ---- what comes in ---- */

/** A link that was lost for longer is made good by a page and a row that stands for the rest. */
const RESUME_MS = 60_000;
let greeted = 0;

const REFRESH_AFTER = { killswitch_activated: "killswitch", killswitch_released: "killswitch" };

function onFrame(frame, size, sentAt) {
  const nowMs = now();
  state.link.lastFrameAt = nowMs;
  if (document.hidden && performance.now() - tickedAt > HIDDEN_TICK_MS) tick();
  if (frame.type === "pong" && sentAt !== null) {
    state.link.roundTripMs = Date.now() - sentAt;
    clock.sample(parseTime(frame.timestamp), Date.now(), sentAt);
  } else if (frame.type === "connection") onGreeting(frame);
  else if (frame.type === "redis_event" && Number.isFinite(frame.id)) onEvent(frame, size, nowMs);
  else if (frame.type === "gap") history.onGap(frame);
  else if (frame.type === "error" && frame.error === "cursor_ahead") history.catchUp(greeted);
  const names = store.applyFrame(state, frame, nowMs);
  if (REFRESH_AFTER[frame.type]) {
    sync.soon(REFRESH_AFTER[frame.type]);
    announcer.render(nowMs);
  }
  changed(names);
}

function onGreeting(frame) {
  clock.sample(parseTime(frame.timestamp), Date.now());
  greeted = frame.cursor;
  if (Number.isFinite(frame.cursor) && !link.resumes) history.catchUp(frame.cursor);
}

/** Where the socket is to resume; 0: nowhere. */
function resumeBehind() {
  const short = state.link.phase === "lost" && now() - state.link.since < RESUME_MS;
  return short ? log.lastId : 0;
}

function onEvent(frame, size, nowMs) {
  const event = toEvent(frame, size);
  log.add(event, nowMs, { replaces: frame.replaces === true });
  details.onEvent(event);
  if (MARKED_TYPES.includes(event.type)) store.applyMarks(state, [event], state.marks.since);
  if (frame.eventType === "heartbeat" && !state.agents.has(String(frame.data?.agent_id ?? frame.source))) sync.soon("agents");
  else if (frame.eventType === "runtime.actor_restarted") sync.soon("actors");
  else if (frame.eventType === "risk.killswitch") sync.soon("killswitch");
  changed(["events"]);
}

/** Lost and found: the snapshot is read again, unless that was done just now. */
function onPhase(phase, { retryAt = NaN }) {
  const back = phase === "live" && state.link.phase === "lost";
  if (phase !== state.link.phase) state.link.since = now();
  state.link.phase = phase;
  state.link.retryAt = clock.at(retryAt);
  if (back) {
    sync.whoAmI();
    for (const name of ["killswitch", "ready", "agents", "actors", "regime"]) sync.soon(name, 0);
  }
  if (back && log.lastId === 0) history.latest();
  if (phase === "lost") sync.soon("ready", 0);
  changed(Object.keys(panels));
}

const link = new Link({ url: new URL(".", location.href).href.replace(/^http/, "ws"), onPhase, onFrame, since: resumeBehind });

listenToKeys({
  goTo,
  filter: () => {
    goTo("events");
    events.focusFilter();
  },
  pause: events.togglePause,
  newest: events.newest,
  move: events.move,
  help: help.open,
  close: details.hide,
});

/** Browsers let the timers of a page in the background sleep; what comes by the socket wakes it. */
const HIDDEN_TICK_MS = 2_000;
let tickedAt = 0;

function tick() {
  tickedAt = performance.now();
  log.tick(now());
  sync.tick();
  announcer.render(now());
  changed(Object.keys(panels));
}

/** The daemon wants a token: until there is one, nothing is asked and nothing is claimed. */
function onAsk() {
  state.access.role = "asked";
  document.body.dataset.access = "asked";
  link.stop();
  announcer.render(now());
}

setInterval(tick, 1000);

link.start();
recall();
changed(Object.keys(panels));
