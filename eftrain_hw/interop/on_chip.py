"""An accelerator with its memory on the chip and a serial line to its host."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import AcceleratorConfig
from ..soc.accelerator import Accelerator
from ..streams.connect import connect_streams
from ..streams.queue import Queue
from .axi_interconnect import AxiInterconnect
from .axi_ram import AxiRam, check_ram
from .frame_receiver import check_idle_cycles
from .serial_bridge import SerialBridge
from .serial_protocol import IDLE_BITS
from .uart import UartReceiver, UartTransmitter, baud_step

__all__ = ["OnChipSystem"]

_RX_BYTES = 2048  # what may wait while a request is carried out


class OnChipSystem(wiring.Component):
    """Accelerator, block RAM and serial bridge: a system without DRAM, processor or bus outside.

        rx --> receiver --> queue --> bridge --AXI4-Lite--> accelerator
        tx <-- transmitter <----------/  \\--AXI4--> interconnect <--AXI4--/
                                                        \\--> RAM

    Registers and memory are reached with operations of their own (`serial_protocol`), so they need
    no common address map. The same description simulates and goes onto a board.

    Parameters
    ----------
    config : AcceleratorConfig
        `clock_hz` is the clock of this component; one AXI4 port or more.
    memory_size : int
        Bytes of the RAM, see `AxiRam`.
    memory_base : int
        Its address.
    baud : int
        Of the line, at most a quarter of the clock.
    primitives : str
        See `Accelerator`.
    idle_bits : int
        Longest pause inside a request, in bit times.

    Members
    -------
    rx : In(1)
    tx : Out(1)
    irq : Out(1)
        The accelerator's interrupt.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(
        self,
        config,
        *,
        memory_size,
        memory_base=0,
        baud=3_000_000,
        primitives="portable",
        idle_bits=IDLE_BITS,
    ):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"OnChipSystem config must be an AcceleratorConfig, not {config!r}")
        if config.axi != "axi4":
            raise ValueError(f"OnChipSystem config.axi must be 'axi4', not {config.axi!r}")
        if config.address_bits != 32:
            raise ValueError(
                f"OnChipSystem config.address_bits must be 32, not {config.address_bits!r}"
            )
        check_ram(memory_size, memory_base, config.address_bits)
        baud_step(config.clock_hz, baud)
        self._config, self._primitives = config, primitives
        self._memory_size, self._memory_base, self._baud = memory_size, memory_base, baud
        self._idle_cycles = idle_bits * config.clock_hz // baud
        check_idle_cycles(self._idle_cycles)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "irq": Out(1)})

    @property
    def config(self):
        return self._config

    @property
    def memory_size(self):
        return self._memory_size

    @property
    def memory_base(self):
        return self._memory_base

    @property
    def baud(self):
        return self._baud

    def elaborate(self, platform):
        m = Module()
        config = self._config
        line = {"clock_hz": config.clock_hz, "baud": self._baud}
        m.submodules.receiver = receiver = UartReceiver(**line)
        m.submodules.queue = queue = Queue(8, _RX_BYTES, storage="block")
        m.submodules.bridge = bridge = SerialBridge(
            memory_base=self._memory_base,
            memory_size=self._memory_size,
            clock_hz=config.clock_hz,
            buffer=_RX_BYTES,
            idle_cycles=self._idle_cycles,
        )
        m.submodules.transmitter = transmitter = UartTransmitter(**line)
        m.submodules.accelerator = accelerator = Accelerator(config, primitives=self._primitives)
        m.submodules.interconnect = interconnect = AxiInterconnect(
            masters=config.ports + 1, address_bits=config.address_bits
        )
        m.submodules.ram = ram = AxiRam(
            size=self._memory_size, base=self._memory_base, address_bits=config.address_bits
        )

        m.d.comb += receiver.rx.eq(self.rx)
        connect_streams(m, receiver.o, queue.i)
        connect_streams(m, queue.o, bridge.i)
        connect_streams(m, bridge.o, transmitter.i)
        m.d.comb += self.tx.eq(transmitter.tx)

        connect(m, bridge.axil, accelerator.axil)
        ports = [getattr(accelerator, f"axi{k}") for k in range(config.ports)]
        for k, port in enumerate([*ports, bridge.axi]):
            connect(m, port, getattr(interconnect, f"axi{k}"))
        connect(m, interconnect.slave, ram.axi)
        m.d.comb += [bridge.irq.eq(accelerator.irq), self.irq.eq(accelerator.irq)]
        return m
