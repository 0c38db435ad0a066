from orchestrator.http.peers import Instance


def test_the_uptime_counts_from_the_start() -> None:
    instance = Instance("desk-a", "paper", "1.0", started_at=0.0)

    assert instance.uptime_s > 0
