"""The vector unit: pooling, loss, update."""

from .kernel import Event
from .vector import vector_cost

__all__ = ["VectorUnit"]


class VectorUnit:
    def __init__(self, reads, writes, config, memory):
        self._kernel, self._config, self._memory = reads.kernel, config, memory
        self.busy = False
        self.quiet = Event(reads.kernel)

    def work(self, layout, fields):
        cost = vector_cost(self._config, layout, fields, self._memory)
        self.busy = True
        yield self._kernel.now + cost.cycles
        self.busy = False
        self.quiet.fire()
