// PM2 (7 and later) for a daemon installed into /opt/orchestrator/.venv:
//
//   pm2 start ecosystem.config.js && pm2 save && pm2 startup
//
// treekill must stay false: with PM2's default the guard is killed together with the daemon, and
// so are agents before the daemon has stopped them in order.
module.exports = {
  apps: [{
    name: "orchestrator",
    script: "/opt/orchestrator/.venv/bin/orchestrator",
    args: ["run", "-c", "/etc/orchestrator/supervisor.toml"],
    interpreter: "none",
    cwd: "/var/lib/orchestrator",
    env: {
      ORCHESTRATOR_DATA_DIR: "/var/lib/orchestrator",
      ORCHESTRATOR_LOG__FORMAT: "json",
    },
    exec_mode: "fork",
    instances: 1, // one daemon writes to a database
    treekill: false,
    kill_timeout: 120_000, // supervisor.stop_s is 60 s; then PM2 sends SIGKILL
    stop_exit_codes: [2], // invalid settings. Not 0: PM2 takes an end by a signal for 0
    restart_delay: 2_000,
    min_uptime: 10_000,
    max_restarts: 5,
    out_file: "/var/log/orchestrator/orchestrator.log",
    error_file: "/var/log/orchestrator/orchestrator.log",
  }],
};
