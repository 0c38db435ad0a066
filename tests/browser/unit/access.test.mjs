import assert from "node:assert/strict";
import { test } from "node:test";
import { applyRefusal, applyRole, createAccess, objectionTo, roleMeaning, roleWords } from "../../../http/dashboard/access.js";
import { failureWords } from "../../../http/dashboard/panels/stop_dialog.js";

test("without tokens all is allowed, and that is said", () => {
  const access = createAccess(false);
  assert.equal(roleWords(access), "no sign-in");
  assert.match(roleMeaning(access), /whoever reaches this page/);
  assert.equal(objectionTo(access, "release"), null);
});

test("an operator may do all, one of less may not release; whether it may stop only trying tells", () => {
  const access = createAccess(true);
  assert.deepEqual([roleWords(access), objectionTo(access, "release")], ["signed in", null]);
  applyRole(access, true);
  assert.deepEqual([roleWords(access), objectionTo(access, "release")], ["operator", null]);
  applyRole(access, false);
  assert.equal(roleWords(access), "viewer or tripper");
  assert.match(objectionTo(access, "release"), /needs the role operator/);
  assert.equal(objectionTo(access, "stop"), null);
  applyRefusal(access, "stop");
  assert.equal(roleWords(access), "viewer");
  assert.match(objectionTo(access, "stop"), /needs the role tripper/);
  assert.match(roleMeaning(access), /may not stop trading.*may not release/);
});

test("advice after a stop that failed is for whom it failed", () => {
  const access = createAccess(true);
  applyRefusal(access, "stop");
  const words = (status) => failureWords({ status, message: "M." }, access);
  assert.match(words(403), /needs the role tripper.*another token.*orc halt --reason/);
  assert.doesNotMatch(words(403), /again/);
  assert.match(words(401), /Sign in, and stop again/);
  assert.match(words(503), /^M\. Send it again\./);
  assert.match(words(0), /Send it again.*orc halt.*If the daemon is dead.*redis-cli PUBLISH risk\.killswitch/);
});
