/** Who this page is signed in as, what that allows, and the way out. */

import { roleMeaning, roleWords } from "../access.js";
import { closeOutside, h, setText } from "../dom.js";

/** `onSignOut` is null where there is nothing to sign out of. */
export function mountAccount({ state, onSignOut }) {
  const who = h("dd", {});
  const where = h("dd", {});
  const meaning = h("p", {});
  const out = onSignOut && h("button", { type: "button", on: { click: onSignOut } }, "Sign out");
  const close = h("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Close");
  const dialog = h("dialog", { id: "account", class: "dialog", "aria-labelledby": "account-title" },
    h("h2", { id: "account-title" }, "Who you are here"),
    h("dl", { class: "facts" }, h("dt", {}, "You"), who, h("dt", {}, "Daemon"), where),
    meaning, h("div", { class: "acts" }, ...(out ? [out] : []), close));
  closeOutside(dialog);
  document.body.append(dialog);
  return { open() {
    setText(who, roleWords(state.access));
    setText(where, [state.instance ?? "this daemon", String(state.env ?? "").toUpperCase(), location.host].filter(Boolean).join(" · "));
    setText(meaning, roleMeaning(state.access));
    dialog.showModal();
  } };
}
