import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../../../http/dashboard/api.js";
import { dropToken, keepToken, protocols, token } from "../../../http/dashboard/token.js";

const kept = new Map();
globalThis.sessionStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};

test("a token is kept for the tab, offered to WebSockets, and dropped", () => {
  keepToken("abc");
  assert.equal(token(), "abc");
  assert.deepEqual(protocols(), ["bearer", "abc"]);
  dropToken();
  assert.equal(token(), null);
  assert.deepEqual(protocols(), []);
});

test("calls carry the token, and 401 asks for one", async () => {
  let refused = 0;
  let sent = null;
  globalThis.fetch = async (_path, request) => {
    sent = request.headers;
    return new Response('{"error":"Unauthorized"}', { status: 401 });
  };
  keepToken("abc");
  await assert.rejects(new Api({ onRefused: () => { refused += 1; } }).health());
  assert.equal(sent.Authorization, "Bearer abc");
  assert.equal(refused, 1);
});
