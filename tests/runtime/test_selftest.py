"""The self-test passes on good devices, and says what differs on bad ones."""

import json

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, open_device
from eftrain_hw.cli import main
from eftrain_hw.formats import Blocked
from eftrain_hw.runtime import DeviceError
from eftrain_hw.runtime.pynq_bitstream import write_manifest
from eftrain_hw.runtime.selftest import (
    CASES,
    answers_for,
    golden_answers,
    make_cases,
    report_table,
    run_selftest,
    stored_path,
)

PRESETS = ["pynq-z2", "pynq-z2-32x16", "pynq-z2-fp32", "sim-small"]


@pytest.fixture
def bitstream(tmp_path, board_config):
    path = tmp_path / "accelerator.bit"
    path.write_bytes(b"bits")
    write_manifest(path, board_config)
    return path


@pytest.fixture
def config_file(tmp_path, board_config):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(board_config.to_dict()))
    return path


def equal(ours, theirs):
    if isinstance(ours, Blocked):
        assert isinstance(theirs, Blocked)
        return np.array_equal(ours.elements, theirs.elements) and (
            ours.exponents is None or np.array_equal(ours.exponents, theirs.exponents)
        )
    return ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("preset", PRESETS)
def test_stored_answers_are_the_golden_models(preset):
    """After a change of the rules: python scripts/make_selftest_answers.py."""
    config = AcceleratorConfig.preset(preset)
    assert stored_path(config).stat().st_size < 100_000
    answers, source = answers_for(config)
    assert source == "stored" and tuple(answers) == CASES
    for case in make_cases(config):
        operands, results = answers[case.name]
        assert set(results) == set(case.results)
        fresh = case.golden(operands)
        for name in case.results:
            assert equal(results[name], fresh[name]), (case.name, name)


@pytest.mark.parametrize("preset", PRESETS)
def test_mac_answers_are_whole_numbers(preset):
    """Known without the golden model."""
    config = AcceleratorConfig.preset(preset)
    operands, results = answers_for(config)[0]["MAC array"]
    lanes = config.lanes
    x = operands["x"].elements.reshape(8, -1).astype(np.int64)
    weight = operands["0.weight"].elements.reshape(-1, 2, lanes, lanes).astype(np.int64)
    sums = np.einsum("nbi,obij->noj", x.reshape(8, 2, lanes), weight).reshape(8, -1)
    sums += operands["0.bias.master"].reshape(-1).astype(np.int64)
    (found,) = results.values()
    np.testing.assert_array_equal(found.reshape(8, -1), sums)


def test_answers_do_not_depend_on_rows_and_buffers():
    config = AcceleratorConfig.preset("sim-small")
    other = config.replace(rows=6, moving_words=512, ports=4, max_burst_beats=16)
    assert stored_path(config) == stored_path(other)
    ours, theirs = golden_answers(config), golden_answers(other)
    for name in CASES:
        for part in (0, 1):
            assert all(equal(v, theirs[name][part][k]) for k, v in ours[name][part].items())


def test_other_formats_are_compared_with_the_golden_model():
    config = AcceleratorConfig(rows=16, lanes=32)
    with open_device("golden", config) as device:
        outcomes, source = run_selftest(device)
    assert source == "golden model" and all(o.passed is not False for o in outcomes)


@pytest.mark.parametrize("device", ["golden", "sim", "pynq"])
def test_passes(device, make_board, bitstream, board_config):
    options = {"bitstream": bitstream} if device == "pynq" else {}
    if device == "pynq":
        make_board()
    with open_device(device, board_config, **options) as opened:
        outcomes, source = run_selftest(opened)
    assert source == "stored"
    assert [o.name for o in outcomes] == ["registers", *CASES]
    assert [o.passed for o in outcomes] == [None if device == "golden" else True] + [True] * 6
    if device != "golden":
        assert all(o.cycles > 100 for o in outcomes[1:])


def test_says_what_differs(board_config):
    with open_device("sim", board_config) as device:
        read, run = device.read_tensor, device.run

        def read_wrong(name):
            value = read(name)
            if name == "5.bias.momentum":
                value[0, 2] += 1
            if name == "y":
                value.elements[1, 0, 2, 2, 1] ^= 4
            return value

        def run_wrong(name, **parameters):
            if name == "bp":
                raise DeviceError(8, "watchdog", layer="layer backward")
            return run(name, **parameters)

        device.read_tensor, device.run = read_wrong, run_wrong
        outcomes, _ = run_selftest(device)
    text = "\n".join(report_table(outcomes))
    assert [o.name for o in outcomes if not o.passed] == [
        "memory loopback", "layer forward", "layer backward", "training step"
    ]  # fmt: skip
    assert "y [2, 2, 8, 8, 4] differs in 1 of 1024 places, first at [1, 0, 2, 2, 1]: " in text
    assert "watchdog (error code 0x8) in layer backward" in text
    assert "5.bias.momentum [1, 4] differs in 1 of 4 places, first at [0, 2]: " in text


def test_results_of_an_earlier_run_do_not_count(board_config):
    """A device that does nothing fails every case."""
    with open_device("sim", board_config) as device:
        from eftrain_hw.runtime import StepResult

        device.run = lambda name, **parameters: StepResult()
        outcomes, _ = run_selftest(device)
    assert [o.passed for o in outcomes] == [True] + [False] * 6


def test_registers_that_do_not_hold(board_config):
    with open_device("sim", board_config) as device:
        outcomes, _ = run_selftest(device)
        read = device.host._read
        device.host._read = lambda address: read(address) & ~(16 if address == 0xFC else 0)
        (registers, *_), _ = run_selftest_keeping(device)
    assert outcomes[0].passed
    assert registers.problems == ["scratch reads 0xffffffef after 0xffffffff was written"]


def run_selftest_keeping(device):
    """Without the loads, which would replace the host."""
    from eftrain_hw.runtime.selftest.run import _registers

    return [_registers(device)], None


@pytest.mark.parametrize("device", ["golden", "sim"])
def test_command(device, config_file, tmp_path, capsys):
    arguments = ["selftest", "--config", str(config_file), "--device", device]
    assert main([*arguments, "--json", str(tmp_path / "out.json")]) == 0
    assert "training step            ok" in capsys.readouterr().out
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["answers"] == "stored" and len(report["checks"]) == 7


def test_command_fails(config_file, capsys, monkeypatch, make_board, bitstream):
    board = make_board()
    arguments = ["selftest", "--config", str(config_file), "--device", "pynq"]
    assert main(arguments) == 2
    assert "--device pynq needs --bitstream FILE.bit" in capsys.readouterr().err
    assert main([*arguments, "--bitstream", str(bitstream)]) == 0
    assert "clock 125.0" in capsys.readouterr().out
    monkeypatch.setattr(board.module.MMIO, "read", lambda self, offset=0: 0)
    assert main([*arguments, "--bitstream", str(bitstream)]) == 2
    assert "there is no accelerator: its id register reads 0x0" in capsys.readouterr().err


def test_command_names_failed_checks(config_file, capsys, monkeypatch, make_board, bitstream):
    make_board()
    from sim.models import fake_pynq

    monkeypatch.setattr(fake_pynq.CachedBuffer, "invalidate", lambda self: None)
    arguments = ["selftest", "--config", str(config_file), "--device", "pynq"]
    assert main([*arguments, "--bitstream", str(bitstream)]) == 1
    captured = capsys.readouterr()
    assert "6 of 7 checks failed: memory loopback, MAC array" in captured.err
    assert "training step            FAILED" in captured.out


def test_timeout_must_be_positive(config_file, capsys, make_board, bitstream):
    make_board()
    arguments = ["selftest", "--config", str(config_file), "--device", "pynq", "--timeout", "0"]
    assert main([*arguments, "--bitstream", str(bitstream)]) == 2
    assert "timeout must be more than 0 seconds" in capsys.readouterr().err
