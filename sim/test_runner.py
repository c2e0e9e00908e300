"""The runner itself: it fails where a bench fails, and builds only what changed."""

import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hw.config import AcceleratorConfig

from . import runner
from .runner import simulate

CONFIG = AcceleratorConfig()
GOOD = {"expected": 4, "hang": False, "overflow": False}
pytestmark = pytest.mark.rtl


class Counter(wiring.Component):
    enable: In(1)
    count: Out(5)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += [self.count.eq(self.count + 1), Assert(self.count != 31, "overflow")]
        return m


def run(**options):
    simulate("runner_test", Counter, "sim.bench_runner", config=CONFIG, **(GOOD | options))


def test_passes_and_builds_once(monkeypatch):
    run()
    directory = runner.build_directory("runner_test")
    simulation = directory / "top"
    built = simulation.stat().st_mtime_ns
    (directory / "key").write_text("other sources, the same Verilog")
    run()
    assert simulation.stat().st_mtime_ns == built
    monkeypatch.setattr(runner, "to_verilog", lambda *_: pytest.fail("nothing changed"))
    run()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"expected": 5}, "1 of 2 tests failed"),
        ({"hang": True}, "no end after 100 cycles"),
        ({"overflow": True}, "overflow"),
    ],
)
def test_fails_where_the_bench_fails(options, message):
    with pytest.raises(AssertionError, match=message):
        run(**options)


def test_refuses_ports_that_are_words_of_verilog():
    class Release(wiring.Component):
        release: In(1)
        wire_: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.d.sync += self.wire_.eq(self.release)
            return m

    with pytest.raises(ValueError, match="a port must not be a word of Verilog, as release is"):
        simulate("release", Release, "sim.bench_runner", config=CONFIG)
