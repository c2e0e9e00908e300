# amaranth: UnusedElaboratable=no
"""The ECP5 boards and their tool chain, with tools that are a few lines of shell."""

import json
import stat
from collections import Counter

import pytest
from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib.io import Buffer

from boards import BuildError, find_board
from boards.ecp5 import _request
from boards.toolchains import ecp5, find_toolchain
from eftrain_hw import AcceleratorConfig
from eftrain_hw.streams.queue import Queue

BOARDS = ("ulx3s-85f", "ecpix5-85f")
AMOUNTS = {"TRELLIS_COMB": 100, "TRELLIS_FF": 90, "MULT18X18D": 8, "DP16KD": 7}


class Blink(Elaboratable):
    def elaborate(self, platform):
        m = Module()
        m.submodules.part = part = Module()
        count = Signal(4, name="count")
        part.d.sync += count.eq(count + 1)
        return m


def report(mhz, constraint=40.0):
    arc = {"from": {"cell": "a", "port": "Q"}, "to": {"cell": "b", "port": "DI"}}
    path = [
        {"type": "clk-to-q", "delay": 0.5, **arc},
        {"type": "routing", "delay": 1.5, "net": "n1", **arc},
        {"type": "setup", "delay": 0.25, **arc},
    ]
    return json.dumps({
        "utilization": {name: {"used": n, "available": 9999} for name, n in AMOUNTS.items()},
        "fmax": {"$glbnet$clk": {"achieved": mhz, "constraint": constraint}},
        "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": path}],
    })  # fmt: skip


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Put shell scripts in the place of the tools."""

    def install(**scripts):
        defaults = {
            "YOSYS": "touch top.json",
            "NEXTPNR_ECP5": f"touch top.config; cat > timing.json <<'X'\n{report(41)}\nX",
            # as the real one, it takes decimal numbers only
            "ECPPACK": "expr $3 + 0 > /dev/null || exit 9; echo bits > top.partial.bit",
        }
        for variable, script in (defaults | scripts).items():
            file = tmp_path / variable.lower()
            file.write_text(f"#!/bin/sh\n{script}\n")
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
            monkeypatch.setenv(variable, str(file))

    return install


def build(directory, board="ulx3s-85f"):
    directory.mkdir(exist_ok=True)
    config = AcceleratorConfig.preset("ulx3s-85f-small")
    assert config.clock_hz == 40_000_000
    return find_toolchain("ecp5").build(find_board(board), config, Blink(), directory)


@pytest.mark.parametrize("board", BOARDS)
def test_builds(tools, tmp_path, board):
    tools()
    result = build(tmp_path / "build", board)
    assert (tmp_path / "build" / result["bitstream"]).read_text() == "bits\n"
    assert (result["lut"], result["ff"], result["dsp"], result["bram"]) == (100, 90, 8, 7)
    assert (result["fmax_mhz"], result["constraint_mhz"]) == (41, 40)
    assert result["longest_path"]["ns"] == 2.25 and result["longest_path"]["wires_ns"] == 1.5
    assert set(result["seconds"]) == {"synthesis", "place_and_route", "pack"}


@pytest.mark.parametrize(
    ("scripts", "messages"),
    [
        ({"YOSYS": "echo ERROR: no such cell >&2; exit 3"},
         ["yosys ended with status 3", "| ERROR: no such cell", "synthesis.log"]),
        ({"NEXTPNR_ECP5": "echo ERROR: no room; exit 1"},
         ["nextpnr-ecp5 ended with status 1", "| ERROR: no room", "place_and_route.log"]),
        ({"NEXTPNR_ECP5": f"cat > timing.json <<'X'\n{report(39.87)}\nX"},
         ["timing is not met: ulx3s-85f reaches 39.87 MHz", "40 MHz are asked for", "2.25 ns",
          "from n1 to b (DI)", "place_and_route.log"]),
        ({"NEXTPNR_ECP5": f"cat > timing.json <<'X'\n{report(99, 12)}\nX"},
         ["was asked for 12 MHz, not for 40 MHz"]),
        ({"NEXTPNR_ECP5": "echo '{\"fmax\": {' > timing.json"}, ["left no usable report"]),
        ({"NEXTPNR_ECP5": "true"}, ["left no usable report", "FileNotFoundError"]),
        ({"ECPPACK": "echo half > top.partial.bit; exit 2"}, ["ecppack ended with status 2"]),
        ({"ECPPACK": "true"}, ["ecppack wrote no bitstream", "pack.log"]),
    ],
)  # fmt: skip
def test_failures_leave_no_bitstream(tools, tmp_path, scripts, messages):
    """Each with its reason; an earlier build's bitstream is gone."""
    tools()
    build(tmp_path / "build")
    tools(**scripts)
    with pytest.raises(BuildError) as caught:
        build(tmp_path / "build")
    for message in messages:
        assert message in str(caught.value)
    assert not (tmp_path / "build" / "top.bit").exists()


def test_a_router_that_never_ends_is_stopped(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(ecp5, "_LONGEST", 0.5)
    tools(NEXTPNR_ECP5="echo Info: overused=170; exec sleep 60")
    with pytest.raises(BuildError, match=r"nextpnr-ecp5 was stopped after 0.5 s; .*\n.*=170\nlog"):
        build(tmp_path / "build")
    assert not (tmp_path / "build" / "top.bit").exists()


def test_asks_for_the_pins_and_the_clock(tools, tmp_path):
    """Part and seed as nextpnr gets them; its constraint file names clock and serial port."""
    tools(NEXTPNR_ECP5=f"echo $@ > arguments; cat > timing.json <<'X'\n{report(50)}\nX")
    board = find_board("ulx3s-85f")
    config = AcceleratorConfig.preset("ulx3s-85f-small")
    directory = tmp_path / "build"
    directory.mkdir()
    find_toolchain("ecp5").build(board, config, board.make_top(config), directory)
    arguments = (directory / "arguments").read_text()
    for text in ("--85k", "--package CABGA381", "--speed 6", "--seed 1"):
        assert text in arguments
    constraints = (directory / "top.lpf").read_text()
    for text in ('LOCATE COMP "uart_0__rx__io" SITE "M1"', 'LOCATE COMP "uart_0__tx__io" SITE "L4"',
                 'LOCATE COMP "clk25_0__io" SITE "G2"', "40000000.0 HZ"):  # fmt: skip
        assert text in constraints, constraints


class Queued(Elaboratable):
    """A queue in block RAM, 73 flip-flops around it and two with a clock enable of their own."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(72, 64, storage="block")
        uart = _request(platform, "uart", 0)
        m.submodules.rx, m.submodules.tx = rx, tx = Buffer("i", uart.rx), Buffer("o", uart.tx)
        word, alone = Signal(72, name="word"), Signal(2, name="alone")
        m.d.sync += [word.eq(Cat(rx.i, word)), tx.o.eq(queue.o.payload.xor() ^ alone[1])]
        with m.If(word[:3].all()):
            m.d.sync += alone.eq(Cat(word[9], alone))
        m.d.comb += [queue.i.payload.eq(word), queue.i.valid.eq(word[3]), queue.o.ready.eq(word[4])]
        return m


def test_spends_no_logic_on_what_nobody_reads(tools, tmp_path, monkeypatch):
    """Around 150 flip-flops and 80 LUTs would make the block RAM say what it reads while written;
    the few flip-flops with a clock enable of their own get it from logic."""
    tools(NEXTPNR_ECP5=f"cat > timing.json <<'X'\n{report(41)}\nX")
    monkeypatch.delenv("YOSYS")
    directory = tmp_path / "build"
    directory.mkdir()
    config = AcceleratorConfig.preset("ulx3s-85f-small")
    find_toolchain("ecp5").build(find_board("ulx3s-85f"), config, Queued(), directory)
    cells = json.loads((directory / "top.json").read_text())["modules"]["top"]["cells"].values()
    count = Counter(cell["type"] for cell in cells)
    assert count["DP16KD"] == 2
    assert count["TRELLIS_FF"] < 73 + 2 + 40 and count["LUT4"] < 90, count
    enables = [c["connections"]["CE"][0] for c in cells if c["parameters"].get("CEMUX") == "CE"]
    assert all(amount >= 6 for amount in Counter(enables).values())


def test_tools_that_are_missing(monkeypatch):
    monkeypatch.setenv("YOSYS", "/no/such/yosys")
    assert find_toolchain("ecp5").find() is None


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("preset", ["ulx3s-85f", "ulx3s-85f-small"])
def test_presets_fit(board, preset):
    board, config = find_board(board), AcceleratorConfig.preset(preset)
    board.check(config)
    assert board.missing(config) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axi": "axi3"}, "axi must be 'axi4' for ulx3s-85f, not 'axi3'"),
        ({"address_bits": 40}, "address_bits must be 32 for ulx3s-85f, not 40"),
        ({"clock_hz": 10_000_000},
         "Uart baud must be 1 to a quarter of the clock (10000000 Hz), not 3000000"),
        ({"clock_hz": 49_999_999},
         "PLL output_hz must be a small multiple of a fraction of 25000000, not 49999999"),
    ],
)  # fmt: skip
def test_refuses_configurations(changes, message):
    config = AcceleratorConfig.preset("ulx3s-85f-small").replace(**changes)
    with pytest.raises(ValueError) as caught:
        find_board("ulx3s-85f").check(config)
    assert str(caught.value) == message


def test_names_what_does_not_fit():
    config = AcceleratorConfig.preset("ulx3s-85f").replace(rows=32, lanes=16)
    assert any("DSP: about" in each for each in find_board("ulx3s-85f").missing(config))
