import assert from "node:assert/strict";
import { test } from "node:test";
import { curl, example, finds, grouped, inner, limits, quoted, resolve, typeWords } from "../../../http/dashboard/reference/describe.js";

const ref = (name) => ({ $ref: `#/components/schemas/${name}` });
const doc = {
  components: { schemas: {
    Node: { type: "object", properties: { name: { type: "string" }, children: { type: "array", items: ref("Node") } }, required: ["name"] },
    Order: { enum: ["asc", "desc"] },
  } },
};

test("a reference leads to its component, and what stands beside it wins", () => {
  assert.deepEqual(resolve(doc, { ...ref("Order"), description: "Which way." }), { enum: ["asc", "desc"], description: "Which way." });
  assert.deepEqual(resolve(doc, undefined), {});
});

test("types are told in words", () => {
  assert.equal(typeWords(doc, { anyOf: [{ type: "integer" }, { type: "null" }] }), "integer or null");
  assert.equal(typeWords(doc, { type: "array", items: ref("Node") }), "array of Node");
  assert.equal(typeWords(doc, { type: "object", additionalProperties: { type: "integer" } }), "object of integer");
  assert.equal(typeWords(doc, ref("Order")), '"asc" or "desc"');
  assert.equal(typeWords(doc, {}), "any JSON");
});

test("limits are told in words, the largest number left out", () => {
  assert.deepEqual(limits({ type: "integer", minimum: 1, maximum: 200, default: 50 }), ["1 to 200", "default 50"]);
  assert.deepEqual(limits({ type: "integer", minimum: 0, maximum: 2 ** 63 }), ["not negative"]);
  assert.deepEqual(limits({ anyOf: [{ type: "string", maxLength: 5 }, { type: "null" }] }), ["at most 5 characters"]);
});

test("fields are found within lists and alternatives", () => {
  assert.equal(inner(doc, { type: "array", items: ref("Node") }).name, "Node");
  assert.equal(inner(doc, { anyOf: [{ type: "null" }, ref("Node")] }).name, "Node");
  assert.equal(inner(doc, { type: "string" }), null);
});

test("an example of what contains itself ends", () => {
  const made = example(doc, ref("Node"));

  assert.equal(made.name, "name");
  assert.ok(JSON.stringify(made).length < 400);
});

test("commands are quoted for a shell, whatever the example holds", () => {
  const operation = { parameters: [{ in: "query", name: "limit", schema: { default: 50 } }, { in: "path", name: "id", schema: { type: "integer" } }],
    requestBody: { content: { "application/json": { schema: {}, example: { reason: "it's $HOME" } } } } };
  const command = curl({ doc, base: "http://desk:8090", path: "/things/{id}/{key}", method: "post", operation, token: true });

  assert.equal(command, [
    "curl -X POST 'http://desk:8090/things/1/KEY?limit=50'",
    `-H "Authorization: Bearer $ORCHESTRATOR_TOKEN"`,
    "-H 'Content-Type: application/json'",
    `-d '{"reason":"it'\\''s $HOME"}'`,
  ].join(" \\\n  "));
  assert.equal(quoted("a'b"), `'a'\\''b'`);
});

test("operations are grouped in the order of the tags, and none is lost", () => {
  const paths = { "/a": { get: { tags: ["Two"], operationId: "a" } }, "/b": { post: { tags: ["One"], operationId: "b" } }, "/c": { get: { operationId: "c" } } };
  const groups = grouped({ tags: [{ name: "One" }, { name: "Two" }, { name: "Empty" }], paths });

  assert.deepEqual(groups.map((group) => [group.tag, group.operations.map((one) => one.id)]), [["One", ["b"]], ["Two", ["a"]], ["Others", ["c"]]]);
});

test("a search wants all its words, in any order", () => {
  assert.ok(finds("events BUS", "GET /bus/events"));
  assert.ok(!finds("events regime", "GET /bus/events"));
  assert.ok(finds("", "anything"));
});
