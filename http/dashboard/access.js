/**
 * What this page's token may do, and how it says so. Pure but for the token itself.
 *
 * The API has no call that tells who asks. So the page knows what follows from what it was answered:
 * without a token and not refused, there are none and all is allowed; whether a token is an operator's
 * is asked once (api.js, `mayAct`); and what was refused once is refused for this page.
 */

const NEEDS = { stop: "tripper", release: "operator" };
const ACTS = { stop: "stop trading", release: "release a stop" };

/** `role`: "open" (no tokens), "operator", "limited" (less than an operator), null while it is unknown, or "asked": nothing before a token is given. */
export function createAccess(hasToken) {
  return { role: hasToken ? null : "open", refused: new Set() };
}

export function applyRole(access, isOperator) {
  access.role = isOperator ? "operator" : "limited";
  return ["header", "killswitch"];
}

/** The daemon answered 403 to `act` ("stop" or "release"). */
export function applyRefusal(access, act) {
  if (access.role === null || access.role === "operator") access.role = "limited";
  access.refused.add(act);
  return ["header", "killswitch"];
}

/** Why `act` cannot be done with this token; null if it can, or if only trying will tell. */
export function objectionTo(access, act) {
  const known = access.refused.has(act) || (access.role === "limited" && NEEDS[act] === "operator");
  return known ? `Your token may not ${ACTS[act]}: that needs the role ${NEEDS[act]}.` : null;
}

/** Who I am, in a word or two. */
export function roleWords(access) {
  if (access.role === "open") return "no sign-in";
  if (access.role === "operator") return "operator";
  if (access.role === null) return "signed in";
  return access.refused.has("stop") ? "viewer" : "viewer or tripper";
}

/** The same as a sentence. */
export function roleMeaning(access) {
  if (access.role === "open") return "This daemon has no tokens: whoever reaches this page may do everything.";
  if (access.role === "operator") return "Your token is an operator's: it may read, stop, release and act.";
  if (access.role === null) return "Your token may read; what else it may do is not known yet.";
  const stop = access.refused.has("stop") ? "It may not stop trading." : "Whether it may stop trading shows when you do.";
  return `Your token may read. ${stop} It may not release a stop.`;
}
