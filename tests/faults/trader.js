// The same with ioredis: acts whenever its gate allows, and writes down when.
const fs = require('node:fs');
const Redis = require('ioredis');
const gate = require('../../examples/gate.js');

const [, , id, file] = process.argv;
const redis = new Redis(process.env.REDIS_URL, { retryStrategy: () => 200 });
redis.on('error', () => {});
const acts = fs.openSync(file, 'a');
let openOrders = 0;

const own = gate(redis, {
  id, group: 'execution', manual: false, beat, openOrders: () => openOrders, onHalt: async () => { openOrders = 0; },
});

function beat() {
  const fields = { agent_id: id, group: 'execution', status: 'active', timestamp: new Date(), ...own.fields() };
  redis.publish(`heartbeat.${id}`, JSON.stringify(fields)).catch(() => {});
}

async function act() {
  openOrders = 2;
  fs.writeSync(acts, `${Number(process.hrtime.bigint()) / 1e9}\n`);
}

setInterval(() => own.acting(act).catch(() => {}), 10);
setInterval(beat, 5000);
