import pytest

from ..conftest import Double, Orc


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_both_names_of_the_program_are_completed(orc: Orc, shell: str) -> None:
    done = orc("completion", shell)

    assert done.code == 0
    assert "_ORCHESTRATOR_COMPLETE" in done.out
    assert "_ORC_COMPLETE" in done.out


def test_an_unknown_shell_is_wrong_usage(orc: Orc) -> None:
    assert orc("completion", "cmd").code == 2


def test_live_agent_ids_are_offered(double: Double, orc: Orc) -> None:
    rows = [{"id": "quotes-1"}, {"id": "dev-1"}]
    double.answers["/health/agents"] = (200, {"agents": rows})

    done = orc(
        _ORCHESTRATOR_COMPLETE="bash_complete",
        COMP_WORDS="orchestrator agent show q",
        COMP_CWORD="3",
        ORCHESTRATOR_URL=double.url,
    )

    assert done.out == "plain,quotes-1\n"


def test_without_a_daemon_nothing_is_offered_and_nothing_is_said(orc: Orc) -> None:
    done = orc(
        _ORCHESTRATOR_COMPLETE="bash_complete",
        COMP_WORDS="orchestrator agent show q",
        COMP_CWORD="3",
        ORCHESTRATOR_URL="http://127.0.0.1:1",
    )

    assert (done.out.strip(), done.err) == ("", "")


def test_commands_are_offered(orc: Orc) -> None:
    done = orc(_ORCHESTRATOR_COMPLETE="bash_complete", COMP_WORDS="orchestrator st", COMP_CWORD="1")

    assert done.out == "plain,stop\nplain,status\nplain,state\n"
