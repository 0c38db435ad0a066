/** The event stream as Chromium's own WebSocket reads it: compressed, and every character right. */
import assert from "node:assert/strict";
import { finish, withPage } from "../browser.mjs";

await withPage({}, async (page) => {
  const { extensions, sent, read } = await page.evaluate(async () => {
    const sent = { words: Array.from({ length: 80 }, (_, n) => `señal ${n} 📈`) };
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/?types=strategy.*`);
    const read = await new Promise((resolve, reject) => {
      socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
      socket.onmessage = async ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.type === "redis_event" && frame.eventType === "strategy.large") resolve(frame.data);
        if (frame.type !== "connection") return;
        // Compressed by the browser as well.
        socket.send(JSON.stringify({ action: "subscribe", types: ["strategy.large"] }));
        await fetch("/bus/events", {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ type: "strategy.large", payload: sent }),
        });
      };
    });
    socket.onclose = null;
    socket.close();
    return { extensions: socket.extensions, sent, read };
  });
  assert.match(extensions, /permessage-deflate.*server_no_context_takeover/);
  assert.deepEqual(read, sent);
});
finish();
