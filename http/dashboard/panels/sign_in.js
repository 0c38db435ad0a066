/**
 * Signing in with a token; who is signed in, and the way out.
 *
 * The token is tried by one call before the page uses it: with all of the page's calls a wrong one
 * would soon be one too many.
 */

import { roleMeaning, roleWords } from "../access.js";
import { MAKE_TOKEN } from "../commands.js";
import { button, closeOutside, h, quiet, setHidden, setText } from "../dom.js";
import { dropToken, keepToken, token } from "../storage.js";
import { field, makeDialog, outcomeLine } from "./panel.js";

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

const TRIED_BY = "./risk/killswitch"; // needs a viewer, and counts towards no limit
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
