import pytest
from orchestrator.protocol.drill import read_drill, write_drill


def test_a_nonce_is_read_back() -> None:
    assert read_drill(write_drill("01J", "2026-01-31T09:30:00.123Z", "http:anna")) == "01J"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"drill": 1}', b'{"drill": "%s"}' % (b"x" * 65)]
)
def test_what_is_no_drill_has_no_nonce(data: bytes) -> None:
    assert read_drill(data) is None
