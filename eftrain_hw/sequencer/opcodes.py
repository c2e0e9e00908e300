"""The commands of the accelerator, by opcode and by name."""

from ..array.commands import COMPUTE
from ..dma.commands import LOAD
from ..streams.command import NOP
from ..vector.commands import DRAIN, LOSS, POOL_BACKWARD, POOL_FORWARD, PROCESS, UPDATE

__all__ = ["BY_NAME", "BY_OPCODE", "LAYOUTS"]

LAYOUTS = (NOP, LOAD, COMPUTE, DRAIN, POOL_FORWARD, POOL_BACKWARD, LOSS, UPDATE, PROCESS)
BY_OPCODE = {layout.opcode: layout for layout in LAYOUTS}
BY_NAME = {layout.name: layout for layout in LAYOUTS}
