import pytest
from orchestrator.protocol.channels import is_private


@pytest.mark.parametrize(
    ("channel", "private"),
    [
        ("reply.buyer-1.17", True),
        ("orchestrator.canary.desk-a", True),
        ("reply", False),
        ("strategy.reply.x", False),
    ],
)
def test_answers_and_the_daemons_own_are_private(channel: str, private: bool) -> None:
    assert is_private(channel) == private
