/**
 * Asks for a token once the daemon has answered 401; with one the page starts anew.
 */

import { h, setHidden, setText } from "../dom.js";
import { dropToken, keepToken, token } from "../token.js";

const TOKEN = /^[A-Za-z0-9._~+/-]{1,512}=*$/;

export function mountSignIn() {
  const input = h("input", { id: "sign-in-token", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const outcome = h("p", { class: "outcome", role: "status", hidden: true });
  const submit = h("button", { type: "submit" }, "Sign in");
  const form = h("form", { on: { submit: send } },
    h("div", { class: "field" }, h("label", { for: "sign-in-token" }, "Token, as `orchestrator token new` printed it"), input),
    outcome, h("div", { class: "acts" }, submit));
  const dialog = h("dialog", { id: "sign-in", class: "dialog", "aria-labelledby": "sign-in-title" },
    h("h2", { id: "sign-in-title" }, "This daemon wants to know you"), form);
  document.body.append(dialog);

  function say(words) {
    setHidden(outcome, false);
    setText(outcome, words);
  }

  function send(event) {
    event.preventDefault();
    const text = input.value.trim();
    if (!TOKEN.test(text)) return say("That is no token.");
    keepToken(text);
    location.reload();
  }

  return {
    /** Whatever is called meanwhile is refused as well: one question is enough. */
    ask() {
      if (dialog.open) return;
      if (token() !== null) say("The daemon does not know this token.");
      dropToken();
      dialog.showModal();
      input.focus();
    },
  };
}
