import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../../../http/dashboard/api.js";
import { objection } from "../../../http/dashboard/panels/header.js";
import { dropToken, keepToken, protocols, token } from "../../../http/dashboard/storage.js";

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

test("a token is tried by one call that costs nothing", async () => {
  const answers = { 200: null, 401: /does not know/, 403: null, 429: /Wait 17 s/, 503: null };
  for (const [status, words] of Object.entries(answers)) {
    const calls = [];
    const found = await objection("abc", { call: async (path, request) => {
      calls.push([path, request.headers.Authorization]);
      return new Response("{}", { status: Number(status), headers: { "Retry-After": "17" } });
    } });
    assert.deepEqual(calls, [["./risk/killswitch", "Bearer abc"]]);
    if (words) assert.match(found, words);
    else assert.equal(found, null, `${status} is no objection to the token`);
  }
});

test("what cannot be a token is not sent, and silence is said so", async () => {
  for (const text of ["", "a b", "é", "x".repeat(600)]) {
    assert.equal(await objection(text, { call: () => assert.fail("it was sent") }), "That is no token.");
  }
  assert.match(await objection("abc", { call: () => Promise.reject(new TypeError("refused")) }), /cannot be reached/);
});
