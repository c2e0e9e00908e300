"""The accelerator's registers behind amaranth-soc's CSR bus, through a window of four registers.

A CSR bus knows neither waiting nor errors, the accelerator's registers know both: a counter takes
some twenty cycles, and a write that comes too early is refused. So an access is started, and then
asked about.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..csr.registers import ADDRESS_BITS
from ..dma.axi import AxiLite, drop_accepted
from .soc_library import require_amaranth_soc

__all__ = ["ADDRESS", "COMMAND", "CsrBus", "CsrWindow", "READ_DATA", "WRITE_DATA", "window_access"]

ADDRESS, WRITE_DATA, READ_DATA, COMMAND = range(4)
"""The window's registers, each of 32 bits."""
READ, WRITE = 1, 2  # commands
BUSY = 1  # reading COMMAND: bit 0 busy, bits 2:1 the last response

_WIDTHS = (8, 16, 32)


class CsrBus(wiring.Signature):
    """amaranth-soc's CSR bus, seen from the initiator, with its names and its timing: data are
    there in the cycle after `r_stb`, and 0 otherwise.

    Parameters
    ----------
    addr_width, data_width : int
    """

    def __init__(self, addr_width, data_width):
        super().__init__(
            {
                "addr": Out(addr_width),
                "r_data": In(data_width),
                "r_stb": Out(1),
                "w_data": Out(data_width),
                "w_stb": Out(1),
            }
        )


class CsrWindow(wiring.Component):
    """Four registers on a CSR bus that make accesses on an AXI4-Lite bus.

        ADDRESS     byte address of the access
        WRITE_DATA  what is written
        READ_DATA   what was read
        COMMAND     write 1: read, 2: write.  Read: bit 0 busy, bits 2:1 the last AXI response

    On a bus narrower than 32 bits a register is several chunks, lowest first: reading the first
    chunk captures all of it, writing the last one takes effect. A command while one runs is lost.

    Latency and cost: an access takes what the AXI4-Lite slave takes, and 2 cycles; 141 LUT and
    150 FF on 8 bits, 50 and 118 on 32 (yosys).

    Parameters
    ----------
    data_width : int
        Of the CSR bus: 8, 16 or 32.
    address_bits : int
        Of the byte addresses on the AXI4-Lite side.
    amaranth_soc : bool
        Make `bus` an interface of amaranth-soc with a memory map, for its decoder.

    Members
    -------
    bus : In(CsrBus)
    axil : Out(AxiLite(address_bits))

    Raises
    ------
    RuntimeError
        amaranth-soc is asked for and not installed.
    """

    def __init__(self, data_width=8, *, address_bits=ADDRESS_BITS, amaranth_soc=False):
        if data_width not in _WIDTHS:
            raise ValueError(f"CSR bus data width must be one of {_WIDTHS}, not {data_width!r}")
        self._data_width, self._address_bits = data_width, address_bits
        addr_width = (4 * 32 // data_width - 1).bit_length()
        bus = CsrBus(addr_width, data_width)
        if amaranth_soc:
            library = require_amaranth_soc()
            bus = library.csr.Signature(addr_width=addr_width, data_width=data_width)
        super().__init__({"bus": In(bus), "axil": Out(AxiLite(address_bits))})
        if amaranth_soc:
            memory_map = library.memory.MemoryMap(addr_width=addr_width, data_width=data_width)
            memory_map.add_resource(self, name=("eftrain",), size=1 << addr_width)
            self.bus.memory_map = memory_map

    @property
    def data_width(self):
        return self._data_width

    @property
    def address_bits(self):
        return self._address_bits

    def elaborate(self, platform):
        m = Module()
        axil = self.axil
        address, written, read = Signal(self._address_bits), Signal(32), Signal(32)
        busy, response = Signal(), Signal(2)
        command = Signal(2)  # a pulse
        m.d.comb += [
            axil.awaddr.eq(address),
            axil.araddr.eq(address),
            axil.wdata.eq(written),
            axil.wstrb.eq(15),
        ]
        values = {ADDRESS: address, WRITE_DATA: written, READ_DATA: read}
        self._read(m, {**values, COMMAND: Cat(busy, response)})
        self._write(m, {ADDRESS: address, WRITE_DATA: written, COMMAND: command}, busy)
        with m.FSM(name="access"):
            with m.State("AWAIT_COMMAND"):
                with m.If(command == WRITE):
                    m.d.sync += [axil.awvalid.eq(1), axil.wvalid.eq(1)]
                    m.next = "WRITE"
                with m.Elif(command == READ):
                    m.d.sync += axil.arvalid.eq(1)
                    m.next = "READ"
            with m.State("WRITE"):
                drop_accepted(m, axil)
                m.d.comb += axil.bready.eq(1)
                with m.If(axil.bvalid):
                    m.d.sync += [response.eq(axil.bresp), busy.eq(0)]
                    m.next = "AWAIT_COMMAND"
            with m.State("READ"):
                with m.If(axil.arready):
                    m.d.sync += axil.arvalid.eq(0)
                m.d.comb += axil.rready.eq(1)
                with m.If(axil.rvalid):
                    m.d.sync += [read.eq(axil.rdata), response.eq(axil.rresp), busy.eq(0)]
                    m.next = "AWAIT_COMMAND"
        return m

    def _place(self):
        """(register, chunk) of the bus's address."""
        bits = (32 // self._data_width - 1).bit_length()
        return self.bus.addr[bits:], self.bus.addr[:bits]

    def _read(self, m, values):
        number, chunk = self._place()
        value, captured = Signal(32), Signal(32)
        with m.Switch(number):
            for which, signal in values.items():
                with m.Case(which):
                    m.d.comb += value.eq(signal)
        m.d.sync += self.bus.r_data.eq(0)
        with m.If(self.bus.r_stb):
            whole = Signal(32)
            m.d.comb += whole.eq(Mux(chunk == 0, value, captured))
            m.d.sync += [
                captured.eq(whole),
                self.bus.r_data.eq(whole.word_select(chunk, self._data_width)),
            ]

    def _write(self, m, targets, busy):
        number, chunk = self._place()
        width, chunks = self._data_width, 32 // self._data_width
        captured = Signal(32)
        whole = Signal(32)
        m.d.comb += whole.eq(captured)
        m.d.comb += whole.word_select(chunk, width).eq(self.bus.w_data)
        m.d.sync += targets[COMMAND].eq(0)
        with m.If(self.bus.w_stb):
            m.d.sync += captured.eq(whole)
            # an access that runs keeps its address and data
            with m.If((chunk == chunks - 1) & ~busy), m.Switch(number):
                for which, signal in targets.items():
                    with m.Case(which):
                        m.d.sync += signal.eq(whole)
                        if which == COMMAND:  # who asks in the next cycle must see it
                            m.d.sync += busy.eq(whole[0] ^ whole[1])


def window_access(read, write, *, tries=1000):
    """(read, write) of the accelerator's registers, for `runtime.host.Host`, through a window.

    Parameters
    ----------
    read, write : callable
        read(number) and write(number, value) of the window's registers, ADDRESS to COMMAND.
    tries : int
        How often an access is asked about.

    Raises
    ------
    RuntimeError
        From the functions that are returned: an access was refused, or never ended.
    """

    def access(address, command):
        write(ADDRESS, address)
        write(COMMAND, command)
        for _ in range(tries):
            status = read(COMMAND)
            if not status & BUSY:
                break
        else:
            raise RuntimeError(f"register access at {address:#x} did not end")
        if status >> 1:
            raise RuntimeError(f"register access at {address:#x}: AXI response {status >> 1}")

    def read_register(address):
        access(address, READ)
        return read(READ_DATA)

    def write_register(address, value):
        write(WRITE_DATA, value)
        access(address, WRITE)

    return read_register, write_register
