from orchestrator.protocol.ulid import new_ulid


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
