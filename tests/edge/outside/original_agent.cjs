// The agent template of the original's README, as it stands there but for the pace of its heartbeats.
const Redis = require('ioredis');
const redis = new Redis(process.env.REDIS_URL);

const agentId = 'your-agent-id';
const agentName = 'Your Agent Name';
const agentGroup = 'signals'; // ingestion, signals, execution, orchestration

setInterval(() => {
  redis.publish(`heartbeat.${agentId}`, JSON.stringify({
    agent_id: agentId,
    name: agentName,
    group: agentGroup,
    status: 'active',
    timestamp: new Date().toISOString()
  }));
}, 500);

// Publish your events
redis.publish('strategy.candidate', JSON.stringify({
  symbol: 'AAPL',
  action: 'BUY',
  confidence: 0.85,
  source: agentId
}));
