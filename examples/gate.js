// The gate of an agent that places orders, with ioredis (contract, part 1, "Permission to act"). Starts shut;
// `acting(order)` throws without a valid permit of the daemon's; a message on the bus can only shut it.
const parsed = (text) => { try { return JSON.parse(text); } catch { return null; } };
const sound = (p) => [p?.generation, p?.ttl_ms, p?.releases].every(Number.isInteger) && Array.isArray(p.halted) && p.resumed;
const named = (t) => /^(agent|group):./.test(t?.scope); // a broken scope is all, a broken level is halt
const reduces = (t) => t?.level === 'reduce' && (named(t) || [undefined, null, 'all'].includes(t.scope));

module.exports = (redis, { id, group, manual = group === 'execution', beat, onHalt = () => {}, openOrders = () => 0 }) => {
  const reader = redis.duplicate({ commandTimeout: 500, maxRetriesPerRequest: 0 }), listener = redis.duplicate();
  let permit = null, until = 0, haltedUnder = null, trip_id = null, cancelled = 'no', running = 0, said = '';
  const mine = (t) => !named(t) || [`agent:${id}`, `group:${group}`].includes(t.scope);
  const halt = (generation) => { haltedUnder = Math.max(generation, haltedUnder ?? 0); };
  const shut = () => haltedUnder !== null || !(performance.now() < until);
  const fields = () => ({ ...(shut() && { status: 'halted' }), gate: shut() ? 'shut' : 'open', trip_id,
    generation: permit?.generation ?? 0, open_orders: openOrders() || (running || (shut() && cancelled !== 'yes') ? null : 0) });
  async function read(sent = performance.now()) { // a permit is valid from the sending of the read, not its answer
    const [[error, text], [, pttl]] = await reader.pipeline().get('orchestrator:permit').pttl('orchestrator:permit').exec();
    if (error) return; // what was read before runs out
    const next = parsed(text);
    if (!(performance.now() < (until = sound(next) ? sent + Math.min(next.ttl_ms, pttl) : 0))) return;
    if (permit && next.releases > permit.releases) halt(permit.generation); // there was a stop in between
    permit = next;
    if (next.halted.some((t) => mine(t) && !reduces(t))) halt(next.generation);
    if (next.generation > haltedUnder && (!manual || next.resumed[id] > haltedUnder)) haltedUnder = trip_id = null;
  }
  async function tick() { // tells at once what is new, and cancels working orders until that has succeeded
    await read().catch(() => {});
    if (said !== (said = JSON.stringify({ ...fields(), generation: 0 }))) beat();
    if (!shut() || cancelled !== 'no') return void (cancelled = shut() ? cancelled : 'no');
    Promise.resolve(cancelled = 'under way').then(() => onHalt()).then(() => { cancelled = 'yes'; return tick(); }, () => { cancelled = 'no'; });
  }
  listener.on('message', (_channel, text) => {
    const stop = parsed(text), trips = [stop, ...(Array.isArray(stop?.trips) ? stop.trips : [])];
    if (stop?.enabled !== false && trips.some((t) => mine(t) && !reduces(t))) { halt(permit?.generation ?? 0); trip_id = stop?.trip_id ?? null; }
    tick();
  });
  listener.subscribe('risk.killswitch');
  setInterval(tick, 250);
  return { fields, acting: async (order, { reducing = false } = {}) => {
    if (shut() || (!reducing && permit.halted.some(mine))) throw new Error('halted');
    try { running += 1; return await order(); } finally { running -= 1; }
  } };
};
