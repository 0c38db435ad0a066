/** Who this page is to the daemon (`/whoami`), what that allows, and how it says so. Pure. */

const RANKS = { viewer: 1, tripper: 2, operator: 3 };
/** What can be asked for: the least role, and the words. */
const ACTS = {
  stop: ["tripper", "stop trading"],
  drill: ["tripper", "measure the way to every agent"],
  release: ["operator", "release a stop"],
  agents: ["operator", "start, stop or restart agents"],
  actors: ["operator", "restart actors"],
  events: ["operator", "write or mark events"],
};

/** `role`: "viewer", "tripper", "operator", null while it is unknown, or "asked": nothing before a token is given. */
export function createAccess(hasToken) {
  return { role: null, name: null, hasToken };
}

/** The daemon's answer to `/whoami`. */
export function applyIdentity(access, { role, name }) {
  if (access.role === "asked" || !Object.hasOwn(RANKS, role)) return [];
  Object.assign(access, { role, name: typeof name === "string" ? name : null });
  return ["header", "killswitch", "agents", "actors", "events"];
}

/** Why `act` cannot be done with this token; null if it can, or if only trying will tell. */
export function objectionTo(access, act) {
  const [needs, words] = ACTS[act];
  if (!(RANKS[access.role] < RANKS[needs])) return null;
  return `Your role ${access.role} may not ${words}: that needs the role ${needs}.`;
}

/** Which daemon this is: "desk-a (PAPER)". */
export const deskWords = ({ instance, env }) => `${instance ?? "this daemon"}${env ? ` (${String(env).toUpperCase()})` : ""}`;

/** Who I am, in a word or two. */
export function roleWords({ role, name, hasToken }) {
  if (!hasToken) return "no sign-in";
  if (!Object.hasOwn(RANKS, role)) return "signed in";
  return name === null || name === role ? role : `${name} (${role})`;
}

const MEANINGS = {
  viewer: "Your token may read. It may not stop trading, release a stop or act.",
  tripper: "Your token may read and stop trading. It may not release a stop or act.",
  operator: "Your token may read, stop trading, release a stop and act.",
};

/** The same as a sentence. */
export function roleMeaning({ role, hasToken }) {
  if (!hasToken) return "This daemon has no tokens: everyone who reaches this page may do everything.";
  return MEANINGS[role] ?? "Your token may read; what else it may do is not known yet.";
}
