"""What a step in which some parameters are frozen saves beside one that trains them all."""

from dataclasses import asdict, dataclass

from .nn import thaw
from .plan import plan_step

__all__ = ["Savings", "savings"]


@dataclass
class Savings:
    """A step beside the same step with every parameter trained.

    Members
    -------
    trained, parameters : int
        Tensors of parameters that are trained, and that there are.
    cycles, all_cycles : int
        Of the step that was planned, and of the one that trains all.
    memory_bytes, all_memory_bytes : int
        DRAM of the program and its tensors, likewise.
    """

    trained: int
    parameters: int
    cycles: int
    all_cycles: int
    memory_bytes: int
    all_memory_bytes: int

    def line(self):
        """The same for a terminal."""
        cycles, memory = self.all_cycles - self.cycles, self.all_memory_bytes - self.memory_bytes
        return (
            f"{self.trained} of {self.parameters} parameters trained: saves {cycles:,} cycles"
            f" ({cycles / self.all_cycles:.1%}) and {memory:,} bytes of memory"
            f" ({memory / self.all_memory_bytes:.1%}) of a step that trains all"
        )

    def to_dict(self):
        """What `eftrain plan --json` writes as "savings"."""
        return asdict(self)


def savings(network, plan):
    """`Savings` of a network's plan, or None where every parameter is trained.

    Parameters
    ----------
    network : nn.Sequential or nn.Network
    plan : StepPlan
        Of this network.
    """
    trained, parameters = len(network.trained()), len(network.parameters())
    if trained == parameters:
        return None
    whole = plan_step(thaw(network), plan.config, plan.batch_size)
    return Savings(
        trained, parameters, plan.step_cycles, whole.step_cycles,
        plan.memory_bytes, whole.memory_bytes,
    )  # fmt: skip
