"""The AXI4-Lite slave in front of the registers."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..dma.axi import AxiLite
from .counters import Counters
from .registers import ADDRESS_BITS, COUNTER_BASE, COUNTERS, REGISTERS

__all__ = ["Csr", "event_bits", "member_name"]

OKAY, SLVERR, DECERR = 0, 2, 3


def member_name(register, field):
    """Name of the port that a field stands for; both halves of a pair have one."""
    if register.part is not None:
        return register.part[0]
    return register.name if field.name == "value" else f"{register.name}_{field.name}"


def event_bits(config, name):
    """Bits of the increment of a counter: memory beats may come on every port at once."""
    return config.ports.bit_length() if name.endswith("_beats") else 1


def _members(config):
    members = {}
    for register in REGISTERS:
        if register.name.startswith("counter_"):
            continue
        for field in register.fields:
            name = member_name(register, field)
            bits = field.bits if register.part is None else config.address_bits
            if field.access == "ro":
                members[name] = In(bits)
            elif field.access == "rw":
                members[name] = Out(bits, init=field.reset)
            elif field.access == "w1":
                members[name] = Out(bits)
            elif field.access == "w1c":
                members[name] = In(bits)
                members[f"{name}_clear"] = Out(bits)
    return members


class Csr(wiring.Component):
    """Registers of `registers.REGISTERS` behind AXI4-Lite.

    One read and one write are handled at a time, independently; AW and W may come in either order.
    Byte strobes select what changes. Answers: OKAY; SLVERR for a write to a register without
    writable fields, and for a write that needs an idle core (locked registers, start) while it is
    not, which changes nothing; DECERR where there is no register. Failed reads give 0.

    Latency and cost: `rvalid` 2 cycles after AR (a counter: as long as it takes until its sum is
    complete, `Counters.period` + 4), `bvalid` 2 cycles after the later of AW and W. About 580 LUT
    with the counters.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    axil : In(AxiLite(12))
    <register>_<field>, or <register> where the field is called "value"
        rw: Out, the value; w1: Out, a pulse; ro: In; w1c: In, and `.._clear`: Out, pulses. A pair
        of registers is one member of `address_bits`.
    counting : In(1)
        Counters run.
    counters_clear : In(1)
        Pulse, before the first cycle that counts.
    count_<counter> : In
        Increments; see `event_bits`. `cycles` needs none.
    """

    def __init__(self, config):
        self._config = config
        events = {
            f"count_{name}": In(event_bits(config, name)) for name in COUNTERS if name != "cycles"
        }
        super().__init__(
            {
                "axil": In(AxiLite(ADDRESS_BITS)),
                **_members(config),
                "counting": In(1),
                "counters_clear": In(1),
                **events,
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.counters = counters = Counters(
            [event_bits(config, name) for name in COUNTERS]
        )
        m.d.comb += [counters.run.eq(self.counting), counters.clear.eq(self.counters_clear)]
        for k, name in enumerate(COUNTERS):
            event = 1 if name == "cycles" else getattr(self, f"count_{name}")
            m.d.comb += getattr(counters, f"increment_{k}").eq(event)
        self._read(m, counters)
        self._write(m)
        return m

    def _slice(self, register, field):
        """The signal bits behind a field, no more than exist."""
        signal = getattr(self, member_name(register, field))
        if register.part is None:
            return signal
        start = 32 * register.part[1] + field.low
        return signal[start : 32 * register.part[1] + 32]

    def _read(self, m, counters):
        axil = self.axil
        address = Signal(ADDRESS_BITS - 2, reset_less=True)
        wait = Signal(range(counters.period + 4), reset_less=True)
        in_counters = Signal(reset_less=True)
        data, response = Signal(32), Signal(2)

        high = address[0]
        m.d.comb += [counters.select.eq(address[1:]), response.eq(DECERR)]
        with m.Switch(address):
            for register in REGISTERS:
                with m.Case(register.address >> 2):
                    m.d.comb += response.eq(OKAY)
                    if register.name.startswith("counter_"):
                        continue
                    for field in register.fields:
                        if field.access == "constant":
                            value = field.constant(self._config)
                        elif field.access == "w1":
                            value = 0
                        else:
                            value = self._slice(register, field)
                        m.d.comb += data[field.low : field.low + field.bits].eq(value)
        with m.FSM(name="read"):
            with m.State("AWAIT_ADDRESS"):
                m.d.comb += axil.arready.eq(1)
                m.d.sync += [
                    address.eq(axil.araddr[2:]),
                    in_counters.eq(
                        axil.araddr[2:] >> (COUNTER_BASE.bit_length() - 3)
                        == COUNTER_BASE >> COUNTER_BASE.bit_length() - 1
                    ),
                    wait.eq(counters.period + 3),
                ]
                with m.If(axil.arvalid):
                    m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.d.sync += [axil.rdata.eq(data), axil.rresp.eq(response), wait.eq(wait - 1)]
                with m.If(in_counters & (response == OKAY)):
                    m.d.sync += axil.rdata.eq(counters.value.word_select(high, 32))
                with m.If(~in_counters | (wait == 0)):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += axil.rvalid.eq(1)
                with m.If(axil.rready):
                    m.next = "AWAIT_ADDRESS"

    def _write(self, m):
        axil = self.axil
        address = Signal(ADDRESS_BITS - 2, reset_less=True)
        data = Signal(32, reset_less=True)
        strobe = Signal(4, reset_less=True)
        has_address, has_data, answering = Signal(), Signal(), Signal()
        response, accepted = Signal(2), Signal()
        m.d.comb += [
            axil.awready.eq(~has_address),
            axil.wready.eq(~has_data),
            axil.bvalid.eq(answering),
        ]
        with m.If(axil.awvalid & axil.awready):
            m.d.sync += [address.eq(axil.awaddr[2:]), has_address.eq(1)]
        with m.If(axil.wvalid & axil.wready):
            m.d.sync += [data.eq(axil.wdata), strobe.eq(axil.wstrb), has_data.eq(1)]
        with m.If(answering & axil.bready):
            m.d.sync += answering.eq(0)
        perform = has_address & has_data & ~answering
        with m.If(perform):
            m.d.sync += [
                has_address.eq(0),
                has_data.eq(0),
                answering.eq(1),
                axil.bresp.eq(response),
            ]

        m.d.comb += [response.eq(DECERR), accepted.eq(perform & (response == OKAY))]
        pulses = []
        for register in REGISTERS:
            for field in register.fields:
                if field.access == "w1":
                    pulses.append(self._slice(register, field))
                elif field.access == "w1c":
                    pulses.append(getattr(self, f"{member_name(register, field)}_clear"))
        m.d.sync += Cat(pulses).eq(0)
        with m.Switch(address):
            for register in REGISTERS:
                with m.Case(register.address >> 2):
                    if not register.writable:
                        m.d.comb += response.eq(SLVERR)
                        continue
                    m.d.comb += response.eq(OKAY)
                    locked = register.locked
                    if register.name == "control":
                        locked = data[0] & strobe[0]
                    with m.If(locked & ~self.status_idle):
                        m.d.comb += response.eq(SLVERR)
                    with m.If(accepted):
                        for field in register.fields:
                            self._store(m, register, field, data, strobe)

    def _store(self, m, register, field, data, strobe):
        if field.access == "ro":
            return
        target = self._slice(register, field)
        if field.access == "w1c":
            target = getattr(self, f"{member_name(register, field)}_clear")
        for byte in range(4):
            low, high = max(field.low, 8 * byte), min(field.low + len(target), 8 * byte + 8)
            if low >= high:
                continue
            with m.If(strobe[byte]):
                m.d.sync += target[low - field.low : high - field.low].eq(data[low:high])
