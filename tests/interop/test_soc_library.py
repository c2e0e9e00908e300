# amaranth: UnusedElaboratable=no
"""What the bridges ask of amaranth-soc, on a stub with the signatures of its documentation.

It shows that the calls are made, not that amaranth-soc takes them: the tests with its decoders,
which are skipped where it isn't installed, are for that.
"""

import sys
from types import ModuleType

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hw.interop.csr_bus import CsrBus, CsrWindow
from eftrain_hw.interop.wishbone import Wishbone, WishboneToAxiLite


class MemoryMap:
    def __init__(self, *, addr_width, data_width, alignment=0):
        self.addr_width, self.data_width = addr_width, data_width
        self.resources = []

    def add_resource(self, resource, *, name, size, addr=None, alignment=None):
        assert isinstance(resource, wiring.Component)
        assert isinstance(name, tuple) and all(isinstance(part, str) for part in name)
        assert size <= 1 << self.addr_width
        self.resources.append((resource, name, size))


class Interface(wiring.PureInterface):
    memory_map = None


class WishboneSignature(wiring.Signature):
    def __init__(self, *, addr_width, data_width, granularity=None, features=frozenset()):
        assert data_width == 32 and granularity == 8 and set(features) == {"err"}
        super().__init__({
            "adr": Out(addr_width), "dat_w": Out(data_width), "dat_r": In(data_width),
            "sel": Out(data_width // granularity), "cyc": Out(1), "stb": Out(1), "we": Out(1),
            "ack": In(1), "err": In(1),
        })  # fmt: skip

    def create(self, *, path=None, src_loc_at=0):
        return Interface(self, path=path, src_loc_at=1 + src_loc_at)


class CsrSignature(wiring.Signature):
    def __init__(self, *, addr_width, data_width):
        super().__init__({
            "addr": Out(addr_width), "r_data": In(data_width), "r_stb": Out(1),
            "w_data": Out(data_width), "w_stb": Out(1),
        })  # fmt: skip

    create = WishboneSignature.create


@pytest.fixture(autouse=True)
def library(monkeypatch):
    for name, members in {
        "amaranth_soc": {},
        "amaranth_soc.memory": {"MemoryMap": MemoryMap},
        "amaranth_soc.wishbone": {"Signature": WishboneSignature},
        "amaranth_soc.csr": {"Signature": CsrSignature},
    }.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)


def test_wishbone():
    bridge = WishboneToAxiLite(amaranth_soc=True)
    memory_map = bridge.wb.memory_map
    assert (memory_map.addr_width, memory_map.data_width) == (12, 8)
    assert memory_map.resources == [(bridge, ("eftrain",), 4096)]
    assert bridge.wb.signature.members == Wishbone(10).flip().members
    Fragment.get(bridge, None)


@pytest.mark.parametrize("width, addresses", [(8, 4), (16, 3), (32, 2)])
def test_csr_bus(width, addresses):
    window = CsrWindow(width, amaranth_soc=True)
    memory_map = window.bus.memory_map
    assert (memory_map.addr_width, memory_map.data_width) == (addresses, width)
    assert memory_map.resources == [(window, ("eftrain",), 1 << addresses)]
    assert window.bus.signature.members == CsrBus(addresses, width).flip().members
    Fragment.get(window, None)
