import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.protocol.targets import (
    STOP_ALL,
    Level,
    Permission,
    Target,
    is_scope,
    read_target,
    strictest,
)
from stops import targets

HALT, REDUCE = Level.HALT, Level.REDUCE


@pytest.mark.parametrize(
    ("level", "scope", "target"),
    [
        (None, None, STOP_ALL),
        ("halt", "all", STOP_ALL),
        ("reduce", None, Target(REDUCE, "all")),
        (None, "group:g", Target(HALT, "group:g")),
        ("reduce", "agent:a", Target(REDUCE, "agent:a")),
        ("reduce", "agent:a:b c", Target(REDUCE, "agent:a:b c")),
        # a broken one is halt/all, whatever the other says
        ("REDUCE", "agent:a", STOP_ALL),
        ("", "agent:a", STOP_ALL),
        (1, "agent:a", STOP_ALL),
        (["reduce"], "agent:a", STOP_ALL),
        ("reduce", "", STOP_ALL),
        ("reduce", "agent:", STOP_ALL),
        ("reduce", "agent", STOP_ALL),
        ("reduce", "agent: a", STOP_ALL),
        ("reduce", "user:a", STOP_ALL),
        ("reduce", "all:a", STOP_ALL),
        ("reduce", "agent:a\n", STOP_ALL),
        ("reduce", "agent:a\x1fb", STOP_ALL),
        ("reduce", "agent:\ud800", STOP_ALL),
        ("reduce", {"agent": "a"}, STOP_ALL),
        ("reduce", 7, STOP_ALL),
    ],
)
def test_level_and_scope_by_the_table(level: object, scope: object, target: Target) -> None:
    assert read_target(level, scope) == target


@pytest.mark.parametrize("code", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_a_name_holds_no_lone_surrogate(code: int) -> None:
    assert not is_scope(f"agent:{chr(code)}")
    assert is_scope("agent:\ud7ff\ue000")


def test_a_name_has_512_bytes_at_most() -> None:
    assert is_scope("agent:" + "é" * 256)
    assert not is_scope("agent:" + "é" * 256 + "a")


@given(st.text(), st.text())
def test_whatever_is_read_can_be_read_again(level: str, scope: str) -> None:
    target = read_target(level, scope)

    assert read_target(target.level, target.scope) == target


@pytest.mark.parametrize(
    ("scope", "agent", "group", "concerned"),
    [
        ("all", "a", "g", True),
        ("group:g", "a", "g", True),
        ("group:g", "a", "h", False),
        ("group:g", "g", "h", False),
        ("group:g", "a", None, True),  # a group that is not known may be this one
        ("agent:a", "a", "g", True),
        ("agent:a", "b", "a", False),
        ("agent:a", "b", None, False),
        ("agent:a:b", "a:b", "g", True),
    ],
)
def test_whom_a_scope_concerns(scope: str, agent: str, group: str | None, concerned: bool) -> None:
    assert Target(HALT, scope).concerns(agent, group) is concerned


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        (STOP_ALL, Target(REDUCE, "agent:a"), True),
        (STOP_ALL, STOP_ALL, True),
        (Target(REDUCE), Target(REDUCE, "group:g"), True),
        (Target(REDUCE), STOP_ALL, False),
        (Target(REDUCE), Target(HALT, "group:g"), False),
        (Target(HALT, "group:g"), Target(REDUCE, "group:g"), True),
        (Target(HALT, "group:g"), Target(REDUCE, "group:h"), False),
        (Target(HALT, "group:g"), STOP_ALL, False),
        (Target(HALT, "group:a"), Target(HALT, "agent:a"), False),
    ],
)
def test_what_covers_what(wide: Target, narrow: Target, covers: bool) -> None:
    assert wide.covers(narrow) is covers


@given(targets, targets, targets)
def test_a_join_covers_both_and_is_a_semilattice(a: Target, b: Target, c: Target) -> None:
    joined = a.join(b)

    assert joined.covers(a)
    assert joined.covers(b)
    assert joined == b.join(a)
    assert a.join(a) == a
    assert joined.join(c) == a.join(b.join(c))
    assert joined.scope in (a.scope, "all")
    assert joined.level in (a.level, b.level)


@pytest.mark.parametrize(
    ("in_force", "permission"),
    [
        ([], Permission.ALLOWED),
        ([Target(HALT, "agent:b")], Permission.ALLOWED),
        ([Target(REDUCE, "group:g")], Permission.REDUCE),
        ([Target(REDUCE), Target(HALT, "agent:b")], Permission.REDUCE),
        ([Target(REDUCE), Target(HALT, "agent:a")], Permission.HALT),
        ([STOP_ALL], Permission.HALT),
    ],
)
def test_the_strictest_counts(in_force: list[Target], permission: Permission) -> None:
    assert strictest(in_force, "a", "g") is permission
