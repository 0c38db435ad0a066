import assert from "node:assert/strict";
import { test } from "node:test";
import { applyIdentity, createAccess, objectionTo, roleMeaning, roleWords } from "../../../http/dashboard/api.js";
import { failureWords } from "../../../http/dashboard/panels/stop_dialog.js";

const signedIn = (role, name = null) => {
  const access = createAccess(true);
  applyIdentity(access, { role, name });
  return access;
};

test("without tokens all is allowed, and that is said", () => {
  const access = createAccess(false);
  applyIdentity(access, { role: "operator", name: null });
  assert.equal(roleWords(access), "no sign-in");
  assert.match(roleMeaning(access), /everyone who reaches this page/);
  assert.equal(objectionTo(access, "release"), null);
});

test("each role has its name, its meaning, and reasons for what it may not do", () => {
  const may = (role) => ["stop", "drill", "release", "agents", "actors", "events"].filter((act) => objectionTo(signedIn(role), act) === null);
  assert.deepEqual([may("viewer"), may("tripper"), may("operator").length], [[], ["stop", "drill"], 6]);
  assert.match(objectionTo(signedIn("viewer"), "stop"), /role viewer may not stop trading: that needs the role tripper/);
  assert.match(objectionTo(signedIn("tripper"), "agents"), /needs the role operator/);
  assert.deepEqual([roleWords(signedIn("viewer", "wall")), roleWords(signedIn("operator", "operator"))], ["wall (viewer)", "operator"]);
  assert.match(roleMeaning(signedIn("tripper")), /may read and stop trading/);
});

test("until the daemon has said who we are, only trying tells", () => {
  const access = createAccess(true);
  assert.deepEqual([roleWords(access), objectionTo(access, "release")], ["signed in", null]);
  assert.deepEqual(applyIdentity(access, { role: "emperor" }), []);
  access.role = "asked";
  applyIdentity(access, { role: "operator" });
  assert.equal(access.role, "asked");
});

test("advice after a stop that failed is for whom it failed", () => {
  const access = signedIn("viewer");
  const words = (status) => failureWords({ status, message: "M." }, access);
  assert.match(words(403), /needs the role tripper.*another token.*orc halt --reason/);
  assert.match(failureWords({ status: 403, message: "M." }, createAccess(true)), /^M\. Sign in with another token/);
  assert.doesNotMatch(words(403), /again/);
  assert.match(words(401), /Sign in, and stop again/);
  assert.match(words(503), /^M\. Send it again\./);
  assert.match(words(0), /Send it again.*orc halt.*If the daemon is dead.*redis-cli PUBLISH risk\.killswitch/);
});
