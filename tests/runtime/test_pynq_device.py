"""The board's driver on the simulated accelerator, with a stand-in for `pynq` (fake_pynq.py)."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from eftrain_hw import Trainer, open_device
from eftrain_hw.cli import main
from eftrain_hw.runtime import BoardError, DeviceError, pynq_device, pynq_interrupt
from eftrain_hw.runtime.pynq_bitstream import write_manifest
from eftrain_hw.runtime.simulation import BusFault
from sim.models import fake_pynq
from sim.models.small_networks import LEAST_CONFIG as CONFIG
from sim.models.small_networks import least_program


@pytest.fixture
def data():
    rng = np.random.default_rng(11)
    return rng.normal(size=(10, 1, 5, 4)).astype(np.float32), np.arange(10) % 3


@pytest.fixture
def bitstream(tmp_path):
    path = tmp_path / "accelerator.bit"
    path.write_bytes(b"bits")
    write_manifest(path, CONFIG)
    return path


def trained(device, data):
    trainer = Trainer(least_program(), device, seed=3)
    trainer.fit(*data, epochs=2, progress=False)
    return {"logits": trainer.logits(data[0]), **trainer.state_dict(), **trainer.momentum_dict()}


def same(found, expected):
    return all(
        np.array_equal(found[name].view(np.uint32), value.view(np.uint32))
        for name, value in expected.items()
    )


@pytest.fixture
def golden(data):
    with open_device("golden", CONFIG) as device:
        return trained(device, data)


def test_training_ends_in_the_golden_models_bits(make_board, bitstream, data, golden):
    board = make_board()
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        assert device.waits_by == "polling"
        assert device.clock_hz == pytest.approx(125e6, rel=1e-3)
        assert board.fclk_hz == CONFIG.clock_hz
        assert same(trained(device, data), golden)
        assert board.flushed and board.invalidated
    assert board.allocated == 0
    assert board.loaded == [("Bitstream", str(bitstream))]


def test_hwh_makes_an_overlay(make_board, bitstream):
    board = make_board()
    bitstream.with_suffix(".hwh").write_text("<EDKSYSTEM/>")
    open_device("pynq", CONFIG, bitstream=str(bitstream)).close()
    assert board.loaded == [("Overlay", str(bitstream))]


@pytest.mark.parametrize("source", ["option", "manifest", "hwh"])
def test_address_of_the_registers(make_board, bitstream, monkeypatch, source):
    board = make_board()
    monkeypatch.setattr(fake_pynq, "REGISTERS", 0x8000_0000)
    bitstream.with_suffix(".hwh").write_text("<EDKSYSTEM/>")
    options = {}
    if source == "option":
        options["address"] = 0x8000_0000
    elif source == "manifest":
        write_manifest(bitstream, CONFIG, address=0x8000_0000)
    else:
        entries = {"ps7_0": {"phys_addr": 0}, "eftrain_0": {"phys_addr": 0x8000_0000}}
        overlay = SimpleNamespace(ip_dict=entries)
        monkeypatch.setattr(board.module, "Overlay", lambda name: overlay)
    open_device("pynq", CONFIG, bitstream=bitstream, **options).close()


@pytest.mark.parametrize("missing", ["flush", "invalidate"])
def test_the_stand_in_sees_missing_cache_maintenance(
    make_board, bitstream, data, golden, monkeypatch, missing
):
    """Without this the tests here would prove nothing about caches."""
    make_board()
    with open_device("pynq", CONFIG, bitstream=bitstream, timeout=0.01) as device:
        device.load_program(least_program())
        monkeypatch.setattr(fake_pynq.CachedBuffer, missing, lambda self: None)
        try:
            found = trained(device, data)
        except DeviceError:
            return  # the accelerator read a program that never reached the memory
        assert not same(found, golden)


def test_cache_lines_at_the_edges(make_board, bitstream):
    """Tensors that are no whole lines do not pull their neighbours along."""
    make_board()
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        program = least_program()
        device.load_program(program)
        rng = np.random.default_rng(1)
        values = {}
        for name, spec in program.tensors.items():
            if spec.kind == "program":
                continue
            values[name] = spec.from_bytes(rng.bytes(spec.nbytes), rng.bytes(spec.exponent_nbytes))
            device.write_tensor(name, values[name])
        for name, value in values.items():
            spec = program.tensors[name]
            assert spec.to_bytes(device.read_tensor(name)) == spec.to_bytes(value), name


# -- interrupt


@pytest.fixture
def uio(monkeypatch):
    """A UIO device whose line is a board's."""

    def install(board):
        def write(file, data):
            assert (file, data) == (77, b"\1\0\0\0")
            board.unmasked = True
            return 4

        def read(file, count):
            assert board.unmasked, "nothing has fired: this would block for ever"
            board.unmasked = False  # the kernel masks the line
            return b"\1\0\0\0"

        def select(files, _, __, seconds):
            return (files if board.wait_for_irq(seconds) else []), [], []

        opened = SimpleNamespace(
            open=lambda path, flags: 77, close=lambda file: None, write=write, read=read, O_RDWR=2
        )
        monkeypatch.setattr(pynq_interrupt, "os", opened)
        monkeypatch.setattr(pynq_interrupt, "select", SimpleNamespace(select=select))
        monkeypatch.setattr(pynq_device, "find_uio", lambda: "/dev/uio3")

    return install


def test_interrupt_through_uio(make_board, bitstream, data, golden, uio):
    board = make_board()
    uio(board)
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        assert device.waits_by == "/dev/uio3"
        assert same(trained(device, data), golden)
        assert device.waits_by == "/dev/uio3"


def test_interrupt_that_never_comes_is_polled(make_board, bitstream, data, golden, uio):
    board = make_board()
    uio(board)

    def dead(seconds):
        board.pass_time(seconds / 1000)
        board._seconds += seconds
        return False

    board.wait_for_irq = dead
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        with pytest.warns(RuntimeWarning, match="did not come through /dev/uio3; polling instead"):
            assert same(trained(device, data), golden)
        assert device.waits_by == "polling"


def test_uio_protocol_on_a_real_file_descriptor(tmp_path, monkeypatch):
    import os
    import socket

    ours, theirs = socket.socketpair()
    monkeypatch.setattr(os, "open", lambda path, flags: os.dup(ours.fileno()))
    interrupt = pynq_interrupt.UioInterrupt("/dev/uio0")
    interrupt.wait(0.01)
    assert theirs.recv(16) == b"\1\0\0\0"  # unmasked, and it did not fire
    theirs.send(b"\5\0\0\0")
    interrupt.wait(60)
    assert theirs.recv(16) == b"\1\0\0\0"
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)  # the count was read
    interrupt.close()
    interrupt.close()
    ours.close()
    theirs.close()


def test_find_uio(tmp_path):
    for number, name in enumerate(["audio", "fabric"]):
        (tmp_path / f"uio{number}").mkdir()
        (tmp_path / f"uio{number}" / "name").write_text(name + "\n")
    assert pynq_interrupt.find_uio(root=tmp_path) == "/dev/uio1"
    assert pynq_interrupt.find_uio("none", root=tmp_path) is None


# -- what can go wrong


def test_timeout_says_what_it_was_doing(make_board, bitstream, data, golden):
    board = make_board()
    program = least_program()
    with open_device("pynq", CONFIG, bitstream=bitstream, timeout=0.002, watchdog=0) as device:
        trainer = Trainer(program, device, seed=3)
        spec = program.tensors["4.weight"]
        start = device._memory.address + spec.address
        board.simulation.set_faults([BusFault(start, start + spec.nbytes, "hold", True, False)])
        message = (
            r"timeout .*in 4.Linear backward: no interrupt after 0.002\d* s; status busy;"
            r" 4 of 10 descriptors issued, \d+ cycles"
        )  # the sequencer runs ahead: forward waits in the loader's queue
        reset = device.host.soft_reset

        def answer_and_reset():
            board.simulation.set_faults([])
            reset()

        device.host.soft_reset = answer_and_reset
        with pytest.raises(DeviceError, match=message):
            trainer.fit(*data, progress=False)
        assert device.host.status() == ["idle"], "it still runs"
        assert same(trained(device, data), golden)


def test_ctrl_c_stops_the_accelerator(make_board, bitstream, data, golden, monkeypatch):
    board = make_board()
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        device.load_program(least_program())

        def interrupted(seconds):
            raise KeyboardInterrupt

        wait = device._interrupt.wait
        device._interrupt.wait = interrupted
        with pytest.raises(KeyboardInterrupt):
            device.run("train")
        assert "busy" in device.host.status()
        device._interrupt.wait = wait
        assert same(trained(device, data), golden)  # which replaces the program
        device._interrupt.wait = interrupted
        with pytest.raises(KeyboardInterrupt):
            device.run("train")
    assert board.allocated == 0  # after the accelerator was stopped: see FakeBoard.free


def test_error_names_layer_and_tensor(make_board, bitstream, data):
    board = make_board()
    program = least_program()
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        trainer = Trainer(program, device, seed=3)
        address = device._memory.address + program.tensors["4.weight"].address
        board.simulation.set_faults([BusFault(address, address + 8, "slverr", True, False)])
        with pytest.raises(DeviceError, match="read_slave .*tensor 4.weight") as caught:
            trainer.fit(*data, progress=False)
        assert caught.value.layer in program.tags.values()


@pytest.mark.parametrize("error, shown", [(0.8, "100.00"), (1.02, "127.50")])
def test_wrong_clock_is_refused(make_board, bitstream, error, shown):
    board = make_board(clock_error=error)
    message = rf"runs at {shown[:-1]}\d MHz by its own cycle counter; .* asks for 125.00 MHz"
    with pytest.raises(BoardError, match=message):
        open_device("pynq", CONFIG, bitstream=bitstream)
    assert board.allocated == 0
    open_device("pynq", CONFIG, bitstream=bitstream, measure_clock=False).close()


def test_bitstream_of_another_build_is_refused_before_it_is_loaded(make_board, bitstream):
    board = make_board()
    other = CONFIG.replace(pool_words=128)
    message = (
        f"build id {CONFIG.build_id:016x}, the configuration {other.build_id:016x}:"
        " pool_words is 64 there, 128 here"
    )
    with pytest.raises(ValueError, match=message):
        open_device("pynq", other, bitstream=bitstream)
    assert board.loaded == []


def test_fabric_of_another_build_is_refused(make_board, bitstream):
    """The manifest lies, or is missing: the registers tell."""
    make_board()
    other = CONFIG.replace(pool_words=128)
    for manifest in (True, False):
        if manifest:
            write_manifest(bitstream, other)
        else:
            bitstream.with_suffix(".json").unlink()
        with pytest.raises(ValueError, match="another configuration: its register build_id"):
            open_device("pynq", other, bitstream=bitstream)


def test_memory_that_is_not_there(make_board, bitstream):
    board = make_board(memory_bytes=1 << 14)
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        message = r"\d+ bytes of contiguous memory could not be allocated \(Failed to allocate"
        with pytest.raises(BoardError, match=message):
            device.load_program(least_program(batch_size=64))
        device.load_program(least_program())  # a smaller one fits
    assert board.allocated == 0


def test_memory_is_given_back_when_a_program_is_replaced(make_board, bitstream, data):
    board = make_board()
    with open_device("pynq", CONFIG, bitstream=bitstream) as device:
        for batch in (4, 2, 6):
            Trainer(least_program(batch_size=batch), device).fit(*data, progress=False)
            assert board.allocated == 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"bitstream": None}, "device 'pynq' needs a bitstream"),
        ({"bitstream": "/nowhere/a.bit"}, "bitstream /nowhere/a.bit: no such file"),
        ({"timeout": 0}, "timeout must be more than 0 seconds, not 0"),
        ({"speed": 3}, "device 'pynq' has no option 'speed'"),
    ],
)
def test_bad_options(make_board, bitstream, options, message):
    make_board()
    with pytest.raises(ValueError, match=message):
        open_device("pynq", CONFIG, **{"bitstream": bitstream, **options})


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "does not describe a bitstream: Expecting"),
        ("[]", "does not describe a bitstream"),
        ('{"kind": "else"}', "it must say kind 'eftrain_hw bitstream 1'"),
    ],
)
def test_damaged_manifest(make_board, bitstream, text, message):
    make_board()
    bitstream.with_suffix(".json").write_text(text)
    with pytest.raises(BoardError, match=message):
        open_device("pynq", CONFIG, bitstream=bitstream)


def test_bitstream_that_does_not_load(make_board, bitstream, monkeypatch):
    board = make_board()

    def fails(name):
        raise OSError("Invalid length found")

    monkeypatch.setattr(board.module, "Bitstream", fails)
    with pytest.raises(BoardError, match="accelerator.bit could not be loaded: Invalid length"):
        open_device("pynq", CONFIG, bitstream=bitstream)


def test_no_pynq(bitstream, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(BoardError, match="device 'pynq' needs the Python package pynq"):
        open_device("pynq", CONFIG, bitstream=bitstream)


def test_interrupt_path_that_is_not_there(make_board, bitstream):
    make_board()
    with pytest.raises(BoardError, match="interrupt /dev/uio99 cannot be opened: No such file"):
        open_device("pynq", CONFIG, bitstream=bitstream, interrupt="/dev/uio99")


def test_train_command(make_board, bitstream, data, tmp_path, capsys, monkeypatch):
    make_board()
    monkeypatch.chdir(tmp_path)
    x, y = data
    np.savez("data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    (tmp_path / "network.py").write_text(
        "from eftrain_hw import nn\n"
        "network = nn.Sequential(nn.Flatten(), nn.Linear(20, 3), input_shape=(1, 5, 4))\n"
    )
    command = "train --config config.json --data npz:data.npz --network network.py --epochs 2"
    command = [*command.split(), "--batch-size", "4", "--quiet", "--save"]
    board = ["--device", "pynq", "--bitstream", str(bitstream)]
    assert main([*command, "board", *board]) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert main([*command, "golden", "--device", "golden"]) == 0
    assert (tmp_path / "board").read_bytes() == (tmp_path / "golden").read_bytes()
    for changes, status, message in (
        (["--device", "pynq"], 2, "--device pynq needs --bitstream FILE.bit"),
        ([*board[:3], "none.bit"], 2, "none.bit: no such file"),
        ([*board, "--config", "sim-small"], 2, f"has build id {CONFIG.build_id:016x}"),
        ([*board, "--timeout", "1e-9"], 1, "timeout (error code 0x0) in 1.Linear"),
        (["--device", "golden", "--bitstream", "a"], 2, "has no option 'bitstream'"),
    ):
        assert main([*command, "none", *changes]) == status
        assert message in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pynq", None)
    assert main([*command, "none", *board]) == 1
    assert "needs the Python package pynq" in capsys.readouterr().err
