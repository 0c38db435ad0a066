// The original's dashboard as far as its README shows it: what its four panels read, on what they
// send, with their libraries. Prints one JSON object: a list of what each panel read.
const WebSocket = require('ws');
const api = process.env.ORCHESTRATOR_URL;
let since; // undefined until the first page, and sent as it is

async function call(path, options) {
  const response = await fetch(`${api}${path}`, options);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

function present(row, ...fields) {
  return Object.fromEntries(fields.map((field) => {
    if (row[field] === undefined) throw new Error(`${field} is missing in ${JSON.stringify(row)}`);
    return [field, row[field]];
  }));
}

async function AgentStatusGrid() {
  const { agents, total_agents, active_agents } = await call('/health/agents/');
  const row = agents.find((agent) => agent.id === 'your-agent-id');
  return { total_agents, active_agents, ...present(row, 'id', 'name', 'agent_group', 'status',
    'last_beat', 'last_error', 'is_alive', 'seconds_since_beat') };
}

async function EventBusMonitor() {
  const page = await call(`/bus/events?since=${since}&limit=500&type=&_=${Date.now()}`);
  since = page.cursor;
  const { events } = await call('/bus/events?since=0&limit=10&type=strategy.candidate');
  const row = present(events[0], 'id', 'type', 'payload', 'timestamp', 'source', 'processed');
  return { rows: page.events.length, age_ms: Date.now() - new Date(row.timestamp), ...row };
}

async function RegimeStatePanel() {
  const { status, regime } = await call('/regime/state');
  return { status, ...present(regime, 'regime', 'trend', 'volatility', 'last_update') };
}

async function KillswitchPanel() {
  const engaged = await call('/risk/killswitch', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ reason: 'manual test', user: 'admin' }),
  });
  return present(engaged, 'status', 'timestamp', 'reason');
}

const ws = new WebSocket(api.replace('http', 'ws'), ['json']);
const live = new Promise((resolve, reject) => {
  ws.on('error', reject);
  ws.onmessage = (event) => {
    const data = JSON.parse(event.data);
    if (data.type !== 'redis_event' || data.channel !== 'strategy.live') return;
    resolve(present(data, 'channel', 'eventType', 'data', 'timestamp'));
  };
});

ws.onopen = async () => {
  const read = {
    AgentStatusGrid: await AgentStatusGrid(),
    EventBusMonitor: await EventBusMonitor(),
    RegimeStatePanel: await RegimeStatePanel(),
    KillswitchPanel: await KillswitchPanel(),
  };
  console.log(JSON.stringify(read));
  console.log(JSON.stringify(await live));
  ws.close();
};
