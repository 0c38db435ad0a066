/**
 * The access token, where the daemon has some: in this tab's session storage, gone when the tab is.
 */

const KEY = "orchestrator.token";

/** The token, or null. */
export function token() {
  try {
    return globalThis.sessionStorage?.getItem(KEY) || null;
  } catch {
    return null; // storage is switched off
  }
}

export function keepToken(text) {
  globalThis.sessionStorage?.setItem(KEY, text);
}

export function dropToken() {
  globalThis.sessionStorage?.removeItem(KEY);
}

/** What a WebSocket offers: browsers cannot set its headers. */
export function protocols(text = token()) {
  return text ? ["bearer", text] : [];
}
