"""``make chaos``: every fault in full, and a table of what became of all events.

``python -m faults.chaos [--short] [--list] [NAME…]``. Every random choice comes from a printed
seed; ``CHAOS_SEED`` gives it back. Exit code 1 if anything was lost, is there twice, or took too
long; 2 if there is no fault of a name.
"""

from gevent import monkey

monkey.patch_all()

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

from . import (
    answered_stops,
    journal_damage,
    leases,
    promotions,
    rule_breakers,
    scenarios,
    sieges,
    streams,
    subscribers,
    supervised,
)
from .rig import Outcome

Run = Callable[..., Outcome]

FULL: dict[str, Run] = {
    "killed": partial(scenarios.postgres_away, outage_s=60, rate=5000),
    "killed-twice": partial(scenarios.postgres_away, outage_s=15, rate=5000, again=True),
    "frozen": partial(scenarios.postgres_away, outage_s=120, rate=2000, frozen=True),
    "frozen-twice": partial(
        scenarios.postgres_away, outage_s=15, rate=2000, frozen=True, again=True
    ),
    "promoted": partial(promotions.promoted, rate=3000, load_s=40, outage_s=5, frozen=False),
    "promoted-frozen": partial(promotions.promoted, rate=3000, load_s=40, outage_s=10, frozen=True),
    "commits": partial(scenarios.unknown_commits, batches=500),
    "daemon": partial(scenarios.daemon_killed, points=50),
    "stop": partial(answered_stops.killed, kills=200),
    "stop-twice": partial(answered_stops.killed, kills=50, again=True),
    "lease": partial(leases.lapsed, rounds=5),
    "lease-twice": partial(leases.lapsed, rounds=3, again=True),
    "guard": partial(supervised.killed, kills=20),
    "guard-too": partial(supervised.killed, kills=20, with_guard=True),
    "guard-pm2": partial(supervised.killed, kills=20, by="pm2"),
    "truncated": partial(journal_damage.truncated, cuts=4096),
    "flipped": partial(journal_damage.flipped, flips=1000),
    "full-disk": partial(scenarios.full_disk, size_mb=24, events=600_000),
    "full-disk-twice": partial(scenarios.full_disk, size_mb=24, events=600_000, again=True),
    "backlog": partial(scenarios.backlog_at_start, size_mb=1000),
    "backlog-twice": partial(scenarios.backlog_at_start, size_mb=300, again=True),
    "poison": partial(scenarios.poison, events=50_000, one_in=5000),
    "poison-1%": partial(scenarios.poison, events=50_000, one_in=100, goal_per_s=2500),
    "poison-killed": partial(scenarios.poison, events=50_000, one_in=1000, again=True),
    "hostile": partial(scenarios.hostile, rounds=20),
    "redis": partial(streams.redis_away, outage_s=60),
    "streams": partial(streams.durable_stream, runs=50),
    "rule-breakers": partial(rule_breakers.rule_breakers, duration_s=60),
    "siege": partial(sieges.besieged, dripping=500, idle=1000, stops=200),
    "descriptors": partial(sieges.descriptors, besiegers=600),
    "subscribers": partial(
        subscribers.cut_off, clients=1000, cuts=100, away_s=30, rate=50, load_s=60, outage_s=15
    ),
    "readers": partial(subscribers.not_reading, clients=200, quiet=100, rate=1000, load_s=20),
}

SHORT: dict[str, Run] = {
    "killed": partial(scenarios.postgres_away, outage_s=3, rate=2000, again=True, after_s=5),
    "frozen": partial(scenarios.postgres_away, outage_s=3, rate=1000, frozen=True, after_s=4),
    "commits": partial(scenarios.unknown_commits, batches=20),
    "daemon": partial(scenarios.daemon_killed, points=3),
    "guard": partial(supervised.killed, kills=3),
    "truncated": partial(journal_damage.truncated, cuts=128),
    "flipped": partial(journal_damage.flipped, flips=32),
    "full-disk": partial(scenarios.full_disk, size_mb=18, events=200_000, again=True),
    "backlog": partial(scenarios.backlog_at_start, size_mb=15, again=True),
    "poison": partial(scenarios.poison, events=5_000, one_in=1000, again=True),
    "hostile": partial(scenarios.hostile, rounds=1),
    "redis": partial(streams.redis_away, outage_s=5),
    "streams": partial(streams.durable_stream, runs=3),
    "descriptors": partial(sieges.descriptors, besiegers=300),
    "subscribers": partial(
        subscribers.cut_off, clients=40, cuts=20, away_s=1, rate=200, load_s=4, outage_s=1
    ),
}

COUNTS = ("runs", "faults", "received", "stored", "rejected", "dropped", "lost", "twice")


def main() -> int:
    """Run those that are named, or all."""
    options = _parser().parse_args()
    runs = SHORT if options.short else FULL
    if options.list:
        print("\n".join(runs))
        return 0
    names = options.names or list(runs)
    if unknown := [name for name in names if name not in runs]:
        form = "short form" if options.short else "fault"
        _parser().error(f"no {form} {', '.join(unknown)}; there are {', '.join(runs)}")
    seed = scenarios.seed_of()
    print(f"seed {seed}", file=sys.stderr, flush=True)
    outcomes = [run_one(name, runs[name], seed) for name in names]
    print(head())
    for outcome in outcomes:
        print(line(outcome))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make chaos ARGS=…",
        description="Break things, and count what became of all events.",
        epilog="CHAOS_SEED=N repeats the choices of a run; CHAOS_SLACK=4 makes goals of time four"
        " times wider, beside other work. docs/faults.md says what each fault is.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a fault; none: all")
    parser.add_argument("--short", action="store_true", help="small, as in make test")
    parser.add_argument("--list", action="store_true", help="say the names, and run none")
    return parser


def run_one(name: str, run: Run, seed: int) -> Outcome:
    """One line; what fails otherwise is said and counts as missed."""
    print(f"· {name}", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        outcome = run(seed=seed)
    except Exception as error:  # noqa: BLE001 the border of one scenario
        traceback.print_exc()
        outcome = Outcome(name, missed=[f"{type(error).__name__}: {error}"[:300]])
    outcome.figures["took s"] = round(time.monotonic() - began, 1)
    print(line(outcome), file=sys.stderr, flush=True)
    return outcome


def head() -> str:
    """The table's first line."""
    return f"{'':<34}" + "".join(f"{name:>10}" for name in COUNTS)


def line(outcome: Outcome) -> str:
    """One line, and what else was measured below it."""
    counts = "".join(f"{getattr(outcome, name):>10,}" for name in COUNTS)
    figures = ", ".join(f"{name} {value:g}" for name, value in outcome.figures.items())
    missed = "".join(f"\n    MISSED {text}" for text in outcome.missed)
    return f"{outcome.name:<34}{counts}\n    {figures}{missed}"


if __name__ == "__main__":
    sys.exit(main())
