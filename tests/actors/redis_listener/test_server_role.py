from collections.abc import Mapping
from typing import Any

import pytest
from orchestrator.actors.redis_listener.server_role import (
    RoleKind,
    RoleWatch,
    ServerRole,
    ask_role,
    read_role,
)

MASTER = ServerRole(RoleKind.MASTER)
REPLICA = ServerRole(RoleKind.REPLICA, "10.0.0.1:6379")
SENTINEL = ServerRole(RoleKind.SENTINEL)
UNKNOWN = ServerRole(RoleKind.UNKNOWN)

INFO_OF_A_REPLICA = b"# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n"


@pytest.mark.parametrize(
    ("replies", "role"),
    [
        ({"ROLE": [b"master", 0, []]}, MASTER),
        ({"ROLE": [b"slave", b"10.0.0.1", 6379, b"connected", 14]}, REPLICA),
        ({"ROLE": [b"sentinel", [b"mymaster"]]}, SENTINEL),
        ({"INFO": b"# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"}, MASTER),
        ({"INFO": INFO_OF_A_REPLICA}, REPLICA),
        ({"ROLE": [b"arbiter"]}, UNKNOWN),
        ({"ROLE": []}, UNKNOWN),
        ({"INFO": b""}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_a_role_is_read_from_either_command(replies: Mapping[str, Any], role: ServerRole) -> None:
    assert ask_role(lambda command, *_: replies.get(command)) == role


def test_a_replica_without_an_address_is_one_all_the_same() -> None:
    role = read_role("role:slave\r\n")

    assert (role.kind, role.of) == (RoleKind.REPLICA, None)
    assert str(role.trouble).startswith("the server is a replica:")


@pytest.mark.parametrize(
    ("role", "words"),
    [
        (MASTER, None),
        (REPLICA, "a replica of 10.0.0.1:6379"),
        (SENTINEL, "name its master"),
        (UNKNOWN, "does not say whether it is a master"),
    ],
)
def test_only_a_master_is_without_trouble(role: ServerRole, words: str | None) -> None:
    assert (role.trouble is None) if words is None else (words in str(role.trouble))


def test_only_a_server_that_names_another_one_is_left_for_it() -> None:
    assert [role.elsewhere for role in (MASTER, REPLICA, SENTINEL, UNKNOWN)] == [0, 1, 1, 0]


def test_a_change_is_counted_and_the_first_look_is_none() -> None:
    watch = RoleWatch()

    changed = [watch.note(role) for role in (MASTER, MASTER, REPLICA, REPLICA, MASTER)]

    assert changed == [False, False, True, False, True]
    assert (watch.changes, watch.role) == (2, MASTER)


def test_another_master_of_the_same_replica_is_no_change() -> None:
    watch = RoleWatch()

    watch.note(REPLICA)

    assert not watch.note(ServerRole(RoleKind.REPLICA, "10.0.0.2:6379"))
    assert watch.role == ServerRole(RoleKind.REPLICA, "10.0.0.2:6379")
