"""What can go wrong in the kit, for the agent's author to catch.

::

    AgentError
     +-- BadAgent          "module:Class" names no agent, or an id cannot be one
     +-- BadOptions        an option is unknown or of the wrong type, or a URL is none
     +-- BadPayload        what was to be published is no JSON object, or too large
     +-- BadState          what the agent keeps cannot be read, or not be kept
     +-- BusUnavailable    Redis did not take it
     +-- Halted            the gate is shut: the agent may not act now
     +-- NoAnswer          a question was not answered in time
     +-- Refused           a payload is not what its handler's model says
"""


class AgentError(Exception):
    """The base of all errors of the kit."""


class BadAgent(AgentError):
    """A path such as ``module:Class`` does not lead to an agent, or it has no usable id."""


class BadOptions(AgentError):
    """The options given to an agent are not those it knows."""


class BadPayload(AgentError):
    """A payload cannot go on the bus."""


class BadState(AgentError):
    """What an agent keeps over restarts cannot be read, or a change of it was not kept."""


class BusUnavailable(AgentError):
    """Redis is away, or refused.

    Whether subscribers got the message is unknown when the connection broke
    while it was sent; it is not sent a second time.
    """

    def __init__(self, channel: str, cause: BaseException) -> None:
        super().__init__(channel, cause)
        self.channel = channel
        """Where the message should have gone."""
        self.cause = cause
        """What the connection said."""

    def __str__(self) -> str:
        """Say what was not published and why."""
        return f"not published on {self.channel}: {self.cause}"


class Halted(AgentError):
    """The agent has no permission to act now.

    Let it out of a handler: it is counted and does not make the agent look broken.
    """

    def __init__(self, why: str, trip_id: str | None = None) -> None:
        super().__init__(why, trip_id)
        self.why = why
        """Such as ``no valid permit``."""
        self.trip_id = trip_id
        """The stop that the agent has heard of."""

    def __str__(self) -> str:
        """Say why."""
        return f"halted: {self.why}" + (f" (trip {self.trip_id})" if self.trip_id else "")


class Refused(AgentError):
    """An event was not given to its handler: the payload is not what the handler's model says."""

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(channel, reason)
        self.channel = channel
        """Where it came from."""
        self.reason = reason
        """Such as ``Expected `float`, got `str` - at `$.score```."""

    def __str__(self) -> str:
        """Say what was refused and why."""
        return f"refused an event on {self.channel}: {self.reason}"


class NoAnswer(AgentError):
    """A question was not answered in time; whether it was acted on is unknown."""

    def __init__(self, channel: str, why: str) -> None:
        super().__init__(channel, why)
        self.channel = channel
        """Where it was asked."""
        self.why = why
        """Such as ``not within 5 s``."""

    def __str__(self) -> str:
        """Say what was asked and why there is no answer."""
        return f"no answer to what was asked on {self.channel}: {self.why}"
