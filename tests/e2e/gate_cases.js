// Takes gates of examples/gate.js through cases (stdin: JSON) and says what each allows after every step.
const gate = require('../../examples/gate.js');
const now = performance.now.bind(performance);

async function allowed({ id, group, steps }) {
  let later = 0; // milliseconds that are taken to have passed
  let answer = [[null, null], [null, -2]], listen;
  const connection = {
    duplicate: () => connection,
    pipeline: () => ({ get: () => ({ pttl: () => ({ exec: async () => answer }) }) }),
    on: (_event, heard) => { listen = heard; },
    subscribe: () => {},
  };
  const own = gate(connection, { id, group, beat: () => {} });
  const said = [];
  for (const { permit, pttl, message, after = 0 } of steps) {
    later += after;
    performance.now = () => now() + later;
    if (message === undefined) answer = [[null, permit], [null, pttl]];
    listen(message === undefined ? 'risk.drill' : 'risk.killswitch', message ?? '{}'); // either has it read
    await new Promise(setImmediate);
    said.push(own.fields().permission);
  }
  return said;
}

(async () => {
  const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const said = [];
  for (const one of cases) said.push(await allowed(one));
  process.stdout.write(JSON.stringify(said), () => process.exit(0));
})();
