// An agent after the seed's "Basic Agent Template": ioredis and nothing of ours.
const Redis = require('ioredis');
const redis = new Redis(process.env.REDIS_URL);

const agentId = 'node-agent';

function beat() {
  redis.publish(`heartbeat.${agentId}`, JSON.stringify({
    agent_id: agentId,
    name: 'Node Agent',
    group: 'signals',
    status: 'active',
    timestamp: new Date().toISOString(),
  }));
}

beat();
setInterval(beat, 1000);

redis.publish('strategy.candidate', JSON.stringify({
  symbol: 'AAPL',
  action: 'BUY',
  confidence: 0.85,
  source: agentId,
}));
