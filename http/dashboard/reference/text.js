/** Descriptions on the page: paragraphs, with code between backticks. Nothing in them is markup. */

import { h } from "../dom.js";

/** The parts of one line: plain text, and code. */
export function inline(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part)).filter((part) => part !== "");
}

export function paragraphs(text, props = {}) {
  return (text ?? "").split("\n\n").filter(Boolean).map((one) => h("p", props, inline(one)));
}
