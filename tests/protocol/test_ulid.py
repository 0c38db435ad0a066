import pytest
from orchestrator.protocol.ulid import new_ulid, ulid_unix_s


def test_it_has_26_characters_of_crockfords_alphabet() -> None:
    name = new_ulid()

    assert len(name) == 26
    assert set(name) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_its_first_ten_characters_are_the_time_of_the_specification() -> None:
    # 01ARYZ6S41 is the specification's own example for 1469918176385 ms.
    assert new_ulid(1469918176.385)[:10] == "01ARYZ6S41"


def test_ids_sort_by_time() -> None:
    assert new_ulid(1.0) < new_ulid(1.5) < new_ulid(1_000_000_000.0) < new_ulid()


def test_no_two_of_a_moment_are_alike() -> None:
    names = {new_ulid(1.0) for _ in range(1_000)}

    assert len(names) == 1_000
    assert len({name[10:] for name in names}) == 1_000
    assert {name[-1] for name in names} == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_its_time_is_read_back() -> None:
    assert ulid_unix_s(new_ulid(1469918176.385)) == 1469918176.385
    assert ulid_unix_s("7ZZZZZZZZZ" + "0" * 16) == (2**48 - 1) / 1000


@pytest.mark.parametrize(
    "text", ["", "T1", "8" + "0" * 25, "0" * 25, "0" * 27, "0" * 25 + "U", "0" * 25 + "a"]
)
def test_what_is_no_ulid_has_no_time(text: str) -> None:
    assert ulid_unix_s(text) is None
