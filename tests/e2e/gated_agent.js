// Places an order whenever its gate allows; says on stdout what it did.
const Redis = require('ioredis');
const gate = require('../../examples/gate.js');

const redis = new Redis(process.env.REDIS_URL);
const id = 'node-trader', group = 'execution';
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
redis.on('error', () => {});
let openOrders = 2;

const own = gate(redis, {
  id,
  group,
  manual: process.argv[2] === 'manual',
  beat,
  openOrders: () => openOrders,
  onHalt: async () => { openOrders = 0; say({ cancelled: Date.now() }); },
});

function beat() {
  const fields = { agent_id: id, group, status: 'active', timestamp: new Date(), ...own.fields() };
  redis.publish(`heartbeat.${id}`, JSON.stringify(fields)).catch(() => {});
}

setInterval(() => own.acting(async () => say({ order: Date.now() })).catch(() => {}), 20);
setInterval(beat, 5000);
