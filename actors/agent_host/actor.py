"""The AgentHost: runs an agent of the kit inside the daemon.

Holds an agent's jobs, as greenlets linked to the actor; they die with it. The agent publishes on
Redis like every other, so nothing of it need survive here: its successor reconnects, with a
new ``boot`` that tells the daemon so.
"""

from collections.abc import Callable
from types import TracebackType

import gevent
from gevent import Greenlet

from ...agents import Agent
from ...protocol.excerpt import excerpt
from ...runtime import Actor, OrchestratorError
from ...runtime.processes.output import ProcessOutput
from .log_lines import end_line, kept_lines, log_as


class AgentLeft(OrchestratorError):
    """An agent's code tried to exit the process; only its actor ends."""

    def __init__(self, agent_id: str, how: BaseException) -> None:
        super().__init__(agent_id, how)
        self.agent_id = agent_id
        self.how = how

    def __str__(self) -> str:
        return f"agent {self.agent_id} raised {type(self.how).__name__}: {self.how}"


class AgentHost(Actor):
    """Runs an agent of the kit inside the daemon.

    What the agent's jobs raise (its ``on_start``; its handlers never do) is the actor's failure.
    An agent that stops itself ends the actor normally. A handler that blocks shows in the agent's
    own heartbeat; one that computes without yielding blocks the daemon, and the watchdog logs it.

    Args:
        make_agent: a new agent for this run; what it raises fails the actor too.
        stop_timeout_s: how long a stop waits for the agent's jobs before they are killed.
        output: where what it logs is kept; outlives the actor.
    """

    def __init__(
        self,
        make_agent: Callable[[], Agent],
        *,
        stop_timeout_s: float = 5.0,
        output: ProcessOutput | None = None,
    ) -> None:
        super().__init__()
        self._output = output
        self._make_agent = make_agent
        self._stop_timeout_s = stop_timeout_s
        self._agent: Agent | None = None
        self._jobs: list[Greenlet] = []

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the agent in a greenlet, so that its failure does not fail the daemon's start."""
        self.spawn(self._host, name="host")

    def on_receive(self, message: object) -> None:
        """Log what comes: an agent is reached over Redis, its actor accepts no messages."""
        self.log.warning("unexpected message", message=excerpt(message))

    def on_stop(self) -> None:
        """Stop the agent; its last heartbeat says so. Takes ``stop_timeout_s`` at most."""
        if self._agent is None:
            return
        self._agent.stop()
        gevent.joinall(self._jobs, timeout=self._stop_timeout_s)
        left = [job.name for job in self._jobs if not job.dead]
        if left:
            self.log.warning("agent did not stop in time, killing it", jobs=left)
        self._agent.close()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """End the jobs at once, and their connections."""
        if self._output is not None and exception_value is not None:
            self._output.add(end_line(exception_value))
        if self._agent is not None:
            self._agent.stop()
            gevent.killall(self._jobs, timeout=1.0)
            self._agent.close()

    # -- the agent ---------------------------------------------------------------------------

    def _host(self) -> None:
        with kept_lines(self.address.name, self._output):
            log_as(self.address.name)
            agent = self._agent = self._make_agent()
            jobs = agent.jobs()
            self._jobs = [self.spawn(self._run_job, agent, jobs[name], name=name) for name in jobs]
            gevent.joinall(self._jobs)
        if all(job.successful() for job in self._jobs):
            self.stop()

    def _run_job(self, agent: Agent, job: Callable[[], None]) -> None:
        log_as(agent.agent_id)  # each greenlet begins with a context of its own
        try:
            job()
        except (SystemExit, KeyboardInterrupt) as how:  # out of a greenlet they end the daemon
            raise AgentLeft(agent.agent_id, how) from how
