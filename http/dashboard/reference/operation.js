/** One operation of the REST API, one channel of the bus: cards, and the code beside them. */

import { copyButton, h } from "../dom.js";
import { curl, example, requestExample, resolve } from "./describe.js";
import { field, schemaView } from "./schema_view.js";
import { inline, paragraphs } from "./text.js";

const json = (value) => JSON.stringify(value, null, 2);
const isGood = (status) => status < "300";

const NEEDS = { open: "Open to all." };

/** A heading that is its own address. */
function heading(id, ...children) {
  return h("h3", {}, h("a", { href: `#${id}`, class: "anchor" }, children));
}

function codeBox(title, textOf, props = {}) {
  const code = h("code", {}, textOf());
  const box = h("div", { class: "code-box", ...props },
    h("div", { class: "code-head" }, h("span", {}, title), copyButton("copy", textOf)),
    h("pre", { tabindex: "0", role: "region", "aria-label": title }, code));
  return { box, update: () => { code.textContent = textOf(); } };
}

/** A path that breaks before its slashes, if it must. */
export const pathWords = (path) => path.split(/(?=\/)/).flatMap((part) => [h("wbr"), part]);

export const method = (name) => h("span", { class: "method", data: { method: name } }, name.toUpperCase());

export function operationCard(doc, { id, method: verb, path, operation }, options) {
  const parameters = (operation.parameters ?? []).map((one) => resolve(doc, one));
  const command = codeBox("curl", () => curl({ doc, base: options.base(), path, method: verb, operation, token: options.token() }));
  options.onChange(command.update);
  const element = h("section", { class: "card", id, tabindex: "-1" },
    h("div", { class: "said" },
      heading(id, method(verb), h("code", { class: "path" }, path)),
      h("p", { class: "summary" }, inline(operation.summary ?? "")),
      paragraphs(operation.description, { class: "note" }),
      operation["x-role"] ? h("p", { class: "needs" }, NEEDS[operation["x-role"]] ?? `Needs the role ${operation["x-role"]}, where tokens are configured.`) : null,
      parameterList(doc, "Path", parameters.filter((one) => one.in === "path")),
      parameterList(doc, "Query", parameters.filter((one) => one.in === "query")),
      bodyPart(doc, operation),
      answersPart(doc, operation)),
    h("div", { class: "shown" }, command.box, answerExample(doc, operation)));
  const words = parameters.map((one) => one.name).join(" ");
  return { element, words: `${verb} ${path} ${operation.summary} ${operation.description ?? ""} ${words}` };
}

function parameterList(doc, title, parameters) {
  if (!parameters.length) return null;
  return [h("h4", {}, title), h("ul", { class: "fields" }, parameters.map((one) => field(doc, one.name, one.schema ?? {}, one)))];
}

function bodyPart(doc, operation) {
  if (!operation.requestBody) return null;
  const body = resolve(doc, operation.requestBody);
  const schema = body.content?.["application/json"]?.schema ?? {};
  const fixed = Object.keys(schema).length === 0;
  return [h("h4", {}, "Body"), paragraphs(body.description), fixed ? null : schemaView(doc, schema, "sent")];
}

function answersPart(doc, operation) {
  const answers = Object.entries(operation.responses ?? {}).map(([status, one]) => [status, resolve(doc, one)]);
  const good = answers.filter(([status]) => isGood(status));
  const others = answers.filter(([status]) => !isGood(status));
  return [
    h("h4", {}, "Answers"),
    good.map(([status, answer]) => answerBox(doc, status, answer, good.length === 1)),
    h("ul", { class: "statuses" }, others.map(([status, answer]) => h("li", {}, statusMark(status), h("span", {}, answer.description.replace(/\.$/, ""))))),
  ];
}

function answerBox(doc, status, answer, open) {
  const [kind, media] = Object.entries(answer.content ?? {})[0] ?? ["", null];
  const summary = h("summary", {}, statusMark(status), h("span", { class: "media" }, kind || "no body"));
  return h("details", { class: "answer", open }, summary, media?.schema ? schemaView(doc, media.schema) : null);
}

const statusMark = (status) => h("b", { class: "status-code", data: { good: String(isGood(status)) } }, status);

function answerExample(doc, operation) {
  const [status, answer] = Object.entries(operation.responses ?? {}).map(([code, one]) => [code, resolve(doc, one)]).find(([code]) => isGood(code)) ?? [];
  const schema = answer?.content?.["application/json"]?.schema;
  if (!schema || (schema.type === "object" && !schema.properties)) return null;
  return codeBox(`Answer ${status}`, () => json(example(doc, schema))).box;
}

/** A channel of AsyncAPI: what goes over it, each kind of message with its fields. */
export function channelCard(doc, key, channel, actions) {
  const id = `channel-${key}`;
  const messages = Object.values(channel.messages ?? {}).map((one) => resolve(doc, one));
  const element = h("section", { class: "card wide", id, tabindex: "-1" },
    h("div", { class: "said" },
      heading(id, h("span", { class: "method", data: { method: "channel" } }, channel.servers?.[0]?.$ref.endsWith("bus") ? "BUS" : "WS"), h("code", { class: "path" }, channel.address)),
      paragraphs(channel.description, { class: "summary" }),
      queryPart(doc, channel),
      actions.map(({ title, names }) => [h("h4", {}, title), messages.filter((one) => names.has(one.payload?.$ref?.split("/").pop())).map((one) => messageBox(doc, one))])));
  return { element, words: `${channel.address} ${channel.description} ${messages.map((one) => `${one.name} ${one.summary}`).join(" ")}` };
}

function queryPart(doc, channel) {
  const query = channel.bindings?.ws?.query;
  if (!query) return null;
  return [h("h4", {}, "Query"), h("ul", { class: "fields" }, Object.entries(query.properties).map(([name, one]) => field(doc, name, one)))];
}

function messageBox(doc, message) {
  const value = () => json(example(doc, message.payload));
  const box = h("details", { class: "answer" },
    h("summary", {}, h("b", { class: "message-name" }, message.name), h("span", { class: "media" }, inline(message.summary ?? ""))));
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(h("div", { class: "message" }, schemaView(doc, message.payload), codeBox("Example", value).box));
  });
  return box;
}
