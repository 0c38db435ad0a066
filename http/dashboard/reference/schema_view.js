/** A schema as a list of its fields; what lies deeper opens on demand (and may contain itself). */

import { h } from "../dom.js";
import { inner, limits, typeWords } from "./describe.js";
import { inline } from "./text.js";

/** What is sent must have its required fields; of what is answered, only those that may be absent are worth a word. */
const REQUIRED = { sent: ["", "required"], answered: ["may be absent", ""] };

export function schemaView(doc, schema, way = "answered") {
  const found = inner(doc, schema);
  const head = h("p", { class: "schema-type" }, typeWords(doc, schema));
  if (!found) return h("div", { class: "schema" }, head);
  return h("div", { class: "schema" }, head, fields(doc, found.schema, way));
}

function fields(doc, schema, way) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, one]) => field(doc, name, one, { required: required.has(name), way }));
  return h("ul", { class: "fields" }, rows);
}

export function field(doc, name, schema, { required = false, way = "sent", description = schema.description } = {}) {
  const word = REQUIRED[way][Number(required)];
  const below = inner(doc, schema);
  const more = limits(schema);
  return h("li", { class: "field" },
    h("div", { class: "field-head" },
      h("code", { class: "field-name" }, name),
      h("span", { class: "field-type" }, typeWords(doc, schema)),
      word ? h("span", { class: "field-required" }, word) : null,
      more.map((words) => h("span", { class: "field-limit" }, words))),
    description ? h("p", { class: "field-text" }, inline(description)) : null,
    below ? opener(doc, below, way) : null);
}

function opener(doc, below, way) {
  const box = h("details", { class: "below" }, h("summary", {}, below.name ? `Fields of ${below.name}` : "Fields"));
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(fields(doc, below.schema, way));
  });
  return box;
}
