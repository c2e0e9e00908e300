"""Several AXI masters at one slave."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..dma.axi import Axi
from ..streams.queue import Queue

__all__ = ["AxiInterconnect"]

_OUTSTANDING = 8
_REQUEST = "id addr len size burst lock cache prot qos".split()


class AxiInterconnect(wiring.Component):
    """Gives `masters` AXI4 masters turns at one slave, reads and writes apart.

    A turn is a burst; turns go round while others ask. Responses return to whoever asked, in the
    order of the requests, as a slave with one ID gives them. Write data pass in the order of the
    write addresses, from the cycle after the address has been taken.

    Latency and cost: 1 cycle for a request, none for data; a request every second cycle; about
    100 LUTs a master.

    Parameters
    ----------
    masters : int
        1 to 8.
    address_bits : int

    Members
    -------
    axi0, axi1, .. : In(Axi(address_bits))
    slave : Out(Axi(address_bits))

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, masters, address_bits=32):
        if not isinstance(masters, int) or isinstance(masters, bool):
            raise TypeError(f"AxiInterconnect masters must be int, not {masters!r}")
        if not 1 <= masters <= 8:
            raise ValueError(f"AxiInterconnect masters must be 1 to 8, not {masters!r}")
        self._masters, self._address_bits = masters, address_bits
        super().__init__(
            {
                **{f"axi{k}": In(Axi(address_bits)) for k in range(masters)},
                "slave": Out(Axi(address_bits)),
            }
        )

    @property
    def masters(self):
        return self._masters

    @property
    def address_bits(self):
        return self._address_bits

    def elaborate(self, platform):
        m = Module()
        ports, slave = [getattr(self, f"axi{k}") for k in range(self._masters)], self.slave

        # read: requests, then data to their owners
        owners = self._requests(m, "ar", ports, ("read",))
        reader = owners["read"]
        for name in ("rid", "rdata", "rresp", "rlast"):
            for port in ports:
                m.d.comb += getattr(port, name).eq(getattr(slave, name))
        ready = Array(port.rready for port in ports)[reader.o.payload]
        m.d.comb += [
            slave.rready.eq(reader.o.valid & ready),
            reader.o.ready.eq(slave.rvalid & slave.rready & slave.rlast),
        ]
        for k, port in enumerate(ports):
            mine = reader.o.valid & (reader.o.payload == k)
            m.d.comb += port.rvalid.eq(slave.rvalid & mine)

        # write: requests, data of their owners, responses to them
        owners = self._requests(m, "aw", ports, ("data", "response"))
        writer, responder = owners["data"], owners["response"]
        for name in ("wdata", "wstrb", "wlast"):
            chosen = Array(getattr(port, name) for port in ports)[writer.o.payload]
            m.d.comb += getattr(slave, name).eq(chosen)
        valid = Array(port.wvalid for port in ports)[writer.o.payload]
        ready = Array(port.bready for port in ports)[responder.o.payload]
        m.d.comb += [
            slave.wvalid.eq(writer.o.valid & valid),
            writer.o.ready.eq(slave.wvalid & slave.wready & slave.wlast),
            slave.bready.eq(responder.o.valid & ready),
            responder.o.ready.eq(slave.bvalid & slave.bready),
        ]
        for k, port in enumerate(ports):
            mine = responder.o.valid & (responder.o.payload == k)
            m.d.comb += [
                port.wready.eq(slave.wready & writer.o.valid & (writer.o.payload == k)),
                port.bvalid.eq(slave.bvalid & mine),
                port.bid.eq(slave.bid),
                port.bresp.eq(slave.bresp),
            ]
        return m

    def _requests(self, m, channel, ports, uses):
        """Arbitrate an address channel; returns a queue of owners for each use."""
        index = range(max(2, len(ports)))
        queues = {}
        for use in uses:
            queues[use] = Queue(index, _OUTSTANDING, storage="distributed")
            m.submodules[f"{use}_owners"] = queues[use]
        valid = getattr(self.slave, f"{channel}valid")
        taken = Signal(name=f"{channel}_taken")
        turn = Signal(ceil_log2(len(index)), name=f"{channel}_turn")
        room = [queue.i.ready for queue in queues.values()]
        free = Signal(name=f"{channel}_free")
        m.d.comb += free.eq(~valid)
        for ready in room:
            with m.If(~ready):
                m.d.comb += free.eq(0)
        with m.If(getattr(self.slave, f"{channel}ready")):
            m.d.sync += valid.eq(0)

        # the one after the last that had a turn comes first
        chosen = Signal.like(turn, name=f"{channel}_chosen")
        asks = [getattr(port, f"{channel}valid") for port in ports]
        m.d.comb += chosen.eq(turn)
        for distance in range(len(ports), 0, -1):
            for last in range(len(ports)):
                candidate = (last + distance) % len(ports)
                with m.If((turn == last) & asks[candidate]):
                    m.d.comb += chosen.eq(candidate)
        m.d.comb += taken.eq(free & Array(asks)[chosen])
        with m.If(taken):
            m.d.sync += [valid.eq(1), turn.eq(chosen)]
            for name in _REQUEST:
                value = Array(getattr(port, channel + name) for port in ports)[chosen]
                m.d.sync += getattr(self.slave, channel + name).eq(value)
        for k, port in enumerate(ports):
            m.d.comb += getattr(port, f"{channel}ready").eq(free & (chosen == k) & asks[k])
        for queue in queues.values():
            m.d.comb += [queue.i.payload.eq(chosen), queue.i.valid.eq(taken)]
        return queues
