"""An agent with a gate and two orders at work, which it cancels when the gate shuts."""

from orchestrator.agents import Agent, Halt, acts, every


class Acting(Agent):
    """Acts twenty times a second, whenever it may."""

    agent_id = "acting"
    group = "execution"
    resume = "on_permit"

    @every(0.05)
    @acts
    def act(self) -> None:
        """Two orders work."""
        self.open_orders = 2

    def on_halt(self, halt: Halt) -> None:
        """They are cancelled."""
        del halt
        self.open_orders = 0
