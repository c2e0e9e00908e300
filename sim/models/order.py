"""Whether a program's waits keep everything in order, whatever the engines' speed."""

import numpy as np

from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.dma.commands import LOAD
from eftrain_hw.streams.command import NOP
from eftrain_hw.vector.commands import DRAIN
from sim.models.machine import Machine

__all__ = ["OrderedMachine"]

ENGINES = ("load", "compute", "drain", "vector")
_ENGINE = {LOAD.opcode: "load", COMPUTE.opcode: "compute", DRAIN.opcode: "drain"}


class OrderedMachine(Machine):
    """A machine that refuses an access that could come too early on some memory.

    Each command knows how many commands of each engine are finished when it starts: what its
    engine's last command knew; what it waits for, and what those knew; for a compute command the
    loads before it, for a drain command the compute commands before it (slots and banks see to
    that). A vector command knows all vector and drain commands before it. A byte may be read if
    its writer is known to be finished, and written if its readers and its writer are.
    """

    def __init__(self, config, memory):
        super().__init__(config, memory)
        self.count = dict.fromkeys(ENGINES, 0)
        self.known = {name: dict.fromkeys(ENGINES, 0) for name in ENGINES}
        self.writer = {name: np.zeros(memory.size, np.int32) for name in ENGINES}
        self.reader = {name: np.zeros(memory.size, np.int32) for name in ENGINES}
        self.present = None

    def _learn(self, engine, other):
        """All commands of `other` so far are finished, and so is what they knew to be."""
        known = self.known[engine]
        for name in ENGINES:
            known[name] = max(known[name], self.known[other][name])
        known[other] = self.count[other]

    def starts(self, issued):
        if issued.opcode == NOP.opcode:
            return
        self.present = engine = _ENGINE.get(issued.opcode, "vector")
        if engine == "load":
            for other in ("drain", "vector"):
                if issued.fields[f"wait_{other}"]:
                    self._learn(engine, other)
        elif engine == "compute":
            self._learn(engine, "load")
        elif engine == "drain":
            self._learn(engine, "compute")
        else:
            self._learn(engine, "drain")
            self._learn(engine, "vector")
        self.count[engine] += 1

    def _check(self, marks, where, what):
        for name in ENGINES:
            if name != self.present:
                latest = int(np.max(marks[name][where], initial=0))
                assert latest <= self.known[self.present][name], (
                    f"{self.present} command {self.count[self.present]} {what} {name} command"
                    f" {latest}, and knows of {self.known[self.present]}"
                )

    def reads(self, where):
        self._check(self.writer, where, "reads what may not have been written by")
        self.reader[self.present][where] = self.count[self.present]

    def writes(self, where):
        self._check(self.reader, where, "overwrites what may not have been read by")
        self._check(self.writer, where, "overwrites what may not have been written by")
        self.writer[self.present][where] = self.count[self.present]
