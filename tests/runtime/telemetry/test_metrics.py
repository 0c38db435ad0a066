from collections.abc import Iterable

from orchestrator.runtime.telemetry.metrics import Metrics, Sample
from prometheus_client import Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families


def samples_of(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    page = metrics.render().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_names_have_the_prefix_and_counters_end_in_total() -> None:
    metrics = Metrics()

    metrics.counter("http_requests", "Requests.", ("route",)).labels("/health").inc(2)

    assert samples_of(metrics)["orchestrator_http_requests_total", (("route", "/health"),)] == 2


def test_a_watched_number_is_read_when_the_page_is_rendered() -> None:
    metrics = Metrics()
    clients = [1, 2]
    metrics.watch(Gauge, "ws_clients", "Clients.", lambda: len(clients))

    clients.append(3)

    assert samples_of(metrics)["orchestrator_ws_clients", ()] == 3


def test_watched_samples_have_labels() -> None:
    metrics = Metrics()
    metrics.watch(Counter, "actor_restarts", "Restarts.", lambda: [(("Persister",), 2)], ("actor",))

    assert samples_of(metrics)["orchestrator_actor_restarts_total", (("actor", "Persister"),)] == 2


def test_label_values_beyond_the_bound_are_added_up_under_other() -> None:
    metrics = Metrics()
    metrics.watch(
        Gauge, "beat", "Beats.", lambda: [((f"a{n}",), 1.0) for n in range(1000)], ("agent",)
    )

    found = {key: value for key, value in samples_of(metrics).items() if "beat" in key[0]}

    assert len(found) == 201
    assert found["orchestrator_beat", (("agent", "other"),)] == 800


def test_a_read_that_raises_leaves_the_other_metrics() -> None:
    metrics = Metrics()

    def broken() -> Iterable[Sample]:
        raise RuntimeError

    metrics.watch(Gauge, "broken", "Broken.", broken)
    metrics.watch(Gauge, "sound", "Sound.", lambda: 1)

    names = {name for name, _ in samples_of(metrics)}
    assert "orchestrator_sound" in names
    assert "orchestrator_broken" not in names


def test_version_and_instance_are_facts() -> None:
    metrics = Metrics()

    metrics.describe_instance(version="1.2.3", name="desk-a", env="paper")

    page = metrics.render().decode()
    assert 'orchestrator_instance_info{env="paper",name="desk-a"} 1.0' in page
    assert 'version="1.2.3"' in page


def test_a_histogram_counts_in_seconds() -> None:
    metrics = Metrics()

    metrics.histogram("http_request_seconds", "Latency.").observe(0.002)

    found = samples_of(metrics)
    assert found["orchestrator_http_request_seconds_bucket", (("le", "0.001"),)] == 0
    assert found["orchestrator_http_request_seconds_bucket", (("le", "0.005"),)] == 1


def test_a_successor_finds_its_predecessors_counter() -> None:
    metrics = Metrics()

    metrics.counter("http_requests", "Requests.").inc()
    metrics.counter("http_requests", "Requests.").inc()

    assert samples_of(metrics)["orchestrator_http_requests_total", ()] == 2


def test_watching_a_name_again_replaces_the_reader() -> None:
    metrics = Metrics()
    metrics.watch(Gauge, "ws_clients", "Clients.", lambda: 1)

    metrics.watch(Gauge, "ws_clients", "Clients.", lambda: 2)

    assert samples_of(metrics)["orchestrator_ws_clients", ()] == 2
