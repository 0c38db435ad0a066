// The gate of an agent that places orders, with ioredis (contract, part 1, "Permission to act"). Starts shut;
// `acting(order)` throws without a valid permit of the daemon's; a message on the bus can only shut or narrow it.
const parsed = (text) => { try { return JSON.parse(text); } catch { return null; } }, count = (n) => Number.isSafeInteger(n) && n >= 0;
const sound = (p) => [p?.generation, p?.ttl_ms, p?.releases].every(count) && p.generation && Array.isArray(p.halted) && p.resumed;
const named = (t) => typeof t?.scope === 'string' && /^(agent|group):(?![\s\x85])[^\0-\x1f\ud800-\udfff]{1,512}(?<![\s\x85])$/u.test(t.scope);
const broken = (t) => !['halt', 'reduce'].includes(t?.level ?? 'halt') || !((t?.scope ?? 'all') === 'all' || named(t)); // is halt/all
const level = (t) => (!broken(t) && t?.level === 'reduce' ? 'reduce' : 'halt');

module.exports = (redis, { id, group, manual = group === 'execution', beat, onHalt = () => {}, openOrders = () => 0 }) => {
  const reader = redis.duplicate({ commandTimeout: 500, maxRetriesPerRequest: 0 }), listener = redis.duplicate();
  const under = { halt: null, reduce: null }; // the generation of the last stop of each level
  let permit = null, until = 0, last = null, first = 0, trip_id = null, drill, cancelled = 'no', running = 0, said = '';
  const resumed = (p) => (Object.hasOwn(p.resumed, id) ? p.resumed[id] : 0), mine = (t) => broken(t) || !named(t) || [`agent:${id}`, `group:${group}`].includes(t.scope);
  const stop = (trips, generation, id = trip_id) => trips.filter(mine).map(level).forEach((l) => { under[l] = Math.max(generation, under[l] ?? 0); trip_id = id; });
  const shut = () => under.halt !== null || !(performance.now() < until), permission = () => (shut() ? 'halt' : under.reduce !== null ? 'reduce' : 'allowed');
  const fields = () => ({ ...(shut() && { status: 'halted' }), gate: shut() ? 'shut' : 'open', permission: permission(), trip_id, drill,
    generation: permit?.generation ?? 0, open_orders: openOrders() || (running || (shut() && cancelled !== 'yes') ? null : 0) });
  async function read(sent = performance.now()) { // a permit is valid from the sending of the read, not its answer
    const [[error, text], [, pttl]] = await reader.pipeline().get('orchestrator:permit').pttl('orchestrator:permit').exec();
    // Without an answer, what was read before runs out; so does a permit that is read again unchanged: that is no renewal.
    const next = parsed(text); if (error) return; if (text !== last) [last, first] = [text, sent];
    if (!(performance.now() < (until = sound(next) ? Math.min(sent + Math.min(next.ttl_ms, pttl), first + Math.min(next.ttl_ms, 3000)) : 0))) return;
    if (permit ? next.releases > permit.releases : manual && next.releases && !resumed(next)) stop([{}], permit?.generation ?? next.generation - 1);
    stop(next.halted, (permit = next).generation);
    for (const l in under) if (next.generation > under[l] && (l === 'reduce' || !manual || resumed(next) > under.halt)) under[l] = null;
    if (permission() === 'allowed') trip_id = null;
  }
  async function tick() { // tells at once what is new, and cancels working orders until that has succeeded
    await read().catch(() => {});
    if (said !== (said = JSON.stringify({ ...fields(), generation: 0 }))) beat();
    if (!shut() || cancelled !== 'no') return void (cancelled = shut() ? cancelled : 'no');
    Promise.resolve(cancelled = 'under way').then(() => onHalt()).then(() => { cancelled = 'yes'; return tick(); }, () => { cancelled = 'no'; });
  }
  listener.on('message', (channel, text) => { // a drill is said back at once, and halts nobody
    const heard = parsed(text), trips = [heard, ...(Array.isArray(heard?.trips) ? heard.trips : [])];
    if (channel !== 'risk.drill' && heard?.enabled !== false) stop(trips, permit?.generation ?? 0, heard?.trip_id ?? null);
    tick(drill = heard?.drill ?? drill);
  });
  listener.subscribe('risk.killswitch', 'risk.drill'); setInterval(tick, 250);
  return { fields, acting: async (order, { reducing = false } = {}) => {
    if (shut() || (!reducing && permission() !== 'allowed')) throw new Error('halted');
    try { running += 1; return await order(); } finally { running -= 1; }
  } };
};
