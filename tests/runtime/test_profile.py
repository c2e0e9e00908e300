"""Step logs to profiles, tables and timelines; logs that contradict themselves are refused."""

import json

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.cli import main
from eftrain_hw.csr.step_log_format import (
    AT_WORK,
    CAUSES,
    CAUSES_AT,
    LANES,
    SPARE,
    STEP_END,
    WORDS,
)
from eftrain_hw.networks import NETWORKS
from eftrain_hw.runtime import chrome_trace, profile_table
from eftrain_hw.runtime.host import Host
from eftrain_hw.runtime.profile import Span, read_profile
from eftrain_hw.runtime.timeline import shares_table, time_shares

NAMES = ["a forward", "a loss", "a backward"]
SEQUENCER, LOAD, COMPUTE, DRAIN, VECTOR = range(len(LANES))
LOG = [
    (SEQUENCER, 5), (0, 40),
    (LOAD, 20), (0, 60),
    (COMPUTE, 30), (0, 90),
    (CAUSES_AT + 7, 31),  # descriptor, before the first position
    (SEQUENCER, 41), (1, 50),
    (DRAIN, 80), (0, 120),
    (VECTOR, 125), (1, 180),
    (SEQUENCER, 51), (2, 70),
    (LOAD, 182), (2, 230),
    (COMPUTE, 70), (2, AT_WORK),
    (CAUSES_AT, 38), (CAUSES_AT + 2, 2),
    (STEP_END, 300),
    (CAUSES_AT, 100), (CAUSES_AT + 6, 129),
]  # fmt: skip


def profile(words=LOG, cycles=300, **changes):
    return read_profile(words, **{"cycles": cycles, "names": NAMES, "clock_hz": 10**8, **changes})


def test_descriptors():
    forward, loss, backward = profile().descriptors
    assert [each.name for each in (forward, loss, backward)] == NAMES
    assert forward.lanes == {
        "sequencer": Span(5, 40), "load": Span(20, 60), "compute": Span(30, 70),
        "drain": Span(80, 120),
    }  # fmt: skip
    assert (forward.start, forward.end, forward.cycles) == (20, 120, 100)
    assert forward.causes == {"mac_busy": 38, "load": 2, "descriptor": 31}
    assert (forward.mac_busy, forward.array_cycles) == (38, 71)
    assert forward.stalls == {"load": 2, "descriptor": 31} and forward.unfinished == ()
    assert loss.causes == {} and loss.lanes["vector"] == Span(125, 180)
    assert backward.causes == {"mac_busy": 100, "vector": 129}
    assert backward.lanes["compute"] == Span(70, 300, False)
    assert backward.unfinished == ("compute",)
    whole = profile()
    assert sum(whole.causes.values()) == 300 and list(whole.causes) == list(CAUSES)
    json.dumps(whole.to_dict())


def test_marks_and_times_wrap():
    """Descriptor 40 and later of a step of more than 2^32 cycles."""
    words, start = [], 0
    for number in range(41):
        start = number * 2**27
        words += [(SEQUENCER, start % 2**32), (number % 16, AT_WORK)]
        if number % 20 == 0:
            words += [(VECTOR, (start + 2**26) % 2**32), (number % 16, (start + 2**27) % 2**32)]
    half = 2**31
    words += [(STEP_END, 0), (CAUSES_AT, half), (CAUSES_AT + 1, half), (CAUSES_AT + 8, 3 * 2**29)]
    result = profile(words, 2**32 + 3 * 2**29, names=[str(k) for k in range(41)])
    assert [each.index for each in result.descriptors] == list(range(41))
    for k in (0, 20, 40):
        start = k * 2**27 + 2**26
        assert result.descriptors[k].lanes["vector"] == Span(start, start + 2**26)


def test_names_may_be_missing():
    assert [each.name for each in profile(names=NAMES[:1]).descriptors] == [
        "a forward", "descriptor 1", "descriptor 2"
    ]  # fmt: skip


def test_a_full_log_is_said_to_be():
    result = profile(complete=False)
    assert profile_table(result)[-1].startswith("The step log was full")
    assert not profile_table(profile())[-1].startswith("The step log")
    assert result.descriptors[2].unfinished == ()  # nobody knows


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (LOG[:-1], "the causes in the step log sum to 171 cycles, not to the step's 300"),
        ([(15, 3)], "the step log has a word with the unknown code 15"),
        ([(CAUSES_AT, 3)], "the step log has causes before the array's first command"),
        ([(LOAD, 3), (2, 9)], "the step log names descriptor 2 before the sequencer has it"),
    ],
)
def test_contradictions(words, message):
    with pytest.raises(ValueError) as error:
        profile(words)
    assert str(error.value) == message


def check_trace(trace):
    """The trace event format: what Perfetto needs, and one track for each engine."""
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"}
    tracks = {}
    for event in trace["traceEvents"]:
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert isinstance(event["name"], str) and isinstance(event["args"], dict)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
            if event["name"] == "thread_name":
                tracks[event["tid"]] = event["args"]["name"]
            continue
        assert event["ph"] == "X" and event["cat"] == tracks[event["tid"]]
        assert event["ts"] >= 0 and event["dur"] >= 0
    assert list(tracks.values()) == list(LANES)
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    for tid in tracks:  # slices of a track must not overlap
        end = 0
        for event in sorted((e for e in slices if e["tid"] == tid), key=lambda e: e["ts"]):
            assert event["ts"] >= end - 1e-6
            end = event["ts"] + event["dur"]
    return slices


def test_trace():
    result = profile(clock_hz=50_000_000)
    trace = json.loads(json.dumps(chrome_trace(result, "here")))
    slices = check_trace(trace)
    assert trace["traceEvents"][0]["args"] == {"name": "here"}
    assert len(slices) == sum(len(each.lanes) for each in result.descriptors)
    compute = next(e for e in slices if e["cat"] == "compute" and e["name"] == "a forward")
    assert (compute["ts"], compute["dur"]) == (30 * 0.02, 40 * 0.02)  # microseconds at 50 MHz
    assert compute["args"] == {
        "descriptor": 0, "cycle": 30, "cycles": 40, "array_cycles": 71, "mac_utilisation": 38 / 71,
        "stalls": {"load": 2, "descriptor": 31},
    }  # fmt: skip
    last = next(e for e in slices if e["cat"] == "compute" and e["name"] == "a backward")
    assert last["args"]["at_work_when_the_step_ended"] is True


def test_table():
    lines = profile_table(profile())
    assert lines[0].split() == [
        "descriptor", "start", "cycles", "array", "MAC", "hazard", "load", "station.", "drain",
        "store", "vector", "descr.", "rest",
    ]  # fmt: skip
    forward, loss, backward = (line.split() for line in lines[1:4])
    assert forward[2:7] == ["20", "100", "71", "53.5%", "0.0%"]
    assert loss[4] == "0" and set(loss[5:]) == {"-"}
    assert backward[-3:] == ["at", "work:", "compute"]
    assert lines[5] == "where 300 cycles went:"
    assert lines[6].split()[:3] == ["mac_busy", "138", "46.0"]


@pytest.mark.parametrize("seed", range(5))
def test_percentages_sum_to_100(seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        causes = {name: int(rng.integers(0, 10 ** rng.integers(1, 9))) for name in CAUSES}
        shares = [float(line.split()[2]) for line in time_shares(causes)]
        assert round(10 * sum(shares)) == 1000
        row = shares_table({"x": causes})[1].split()[1:]
        assert [float(cell.removesuffix("%")) for cell in row] == shares
        total = sum(causes.values())
        assert all(
            abs(share - 100 * value / total) <= 0.1 for share, value in zip(shares, causes.values())
        )
    assert [line.split()[2] for line in time_shares({})] == ["0.0"] * len(CAUSES)


def test_a_log_that_is_never_done():
    host = Host(lambda address: 1 << 16, None, None)  # log_status.busy
    with pytest.raises(RuntimeError, match="the step has not ended"):
        host.step_log()


@pytest.mark.parametrize(("name", "most"), [("cifar", 400), ("vgg16", 909)])
def test_steps_fit_into_the_log(name, most):
    """Two words an engine and descriptor, and every cause wherever the array is used."""
    program = compile_network(
        NETWORKS[name](),
        AcceleratorConfig(),
        batch_size=16,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1),
    )
    words = 1 + len(CAUSES)
    for descriptor in program.descriptors["train"]:
        engines = {command.layout.name for command in descriptor.commands}
        units = {name if name in LANES else "vector" for name in engines}
        words += 2 * (1 + len(units)) + len(CAUSES) * ("compute" in units)
    assert words == most <= WORDS - SPARE


# -- devices, trainer, command

CONFIG = AcceleratorConfig(
    rows=4, lanes=4, moving_words=128, stationary_words=128, accumulator_depth=64, bias_depth=64,
    pool_words=128, loss_words=64,
)  # fmt: skip
NETWORK = """
from eftrain_hw import nn
network = nn.Sequential(
    nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(30, 3), input_shape=(1, 5, 4)
)
"""


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(10, 5, 4)), np.arange(10) % 3
    np.savez("data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    return tmp_path


def train(*more, device="sim"):
    return main(
        ["train", "--config", "config.json", "--data", "npz:data.npz", "--network", "network.py"]
        + ["--batch-size", "4", "--epochs", "2", "--quiet", "--device", device, *more]
    )


def trainer(device):
    names = {}
    exec(NETWORK, names)
    program = compile_network(
        names["network"],
        CONFIG,
        batch_size=4,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1),
    )
    return Trainer(program, open_device(device, CONFIG))


@pytest.mark.rtl
@pytest.mark.parametrize(("step", "index"), [(None, 5), ("0", 0), ("3", 3), ("-6", 0)])
def test_command_writes_the_chosen_step(inputs, step, index):
    more = [] if step is None else ["--trace-step", step]
    assert train("--trace", "trace.json", "--json", "out.json", *more) == 0
    trace = json.loads((inputs / "trace.json").read_text())
    names = {event["name"] for event in check_trace(trace)}
    assert {"0.Conv2d forward", "3.Linear weight gradient", "0.Conv2d update", "loss"} <= names
    steps = json.loads((inputs / "out.json").read_text())["history"]["steps"]
    assert trace["otherData"]["cycles"] == steps[index]["cycles"]  # not of the evaluation after it


def test_golden_has_no_clock(inputs, capsys):
    assert train("--trace", "trace.json", device="golden") == 2
    assert capsys.readouterr().err == (
        "eftrain train: --trace needs a device with a clock: --device sim, not golden\n"
    )
    golden = trainer("golden")
    with pytest.raises(ValueError, match="^there is no profile before the first run$"):
        golden.device.profile()
    with pytest.raises(ValueError, match='^the device "golden" has no clock, so nothing can be'):
        golden.fit(np.zeros((4, 1, 5, 4)), np.zeros(4, int), progress=False, profile_step=0)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (6, ValueError, "profile_step must be -6 to 5, not 6"),
        (-7, ValueError, "profile_step must be -6 to 5, not -7"),
        ("0", TypeError, "profile_step must be an integer, not '0'"),
    ],
)
def test_bad_step(step, error, message):
    with pytest.raises(error) as raised:
        trainer("golden").fit(
            np.zeros((10, 1, 5, 4)), np.zeros(10, int), 2, progress=False, profile_step=step
        )
    assert str(raised.value) == message


@pytest.mark.rtl
def test_bench_of_a_network(inputs, capsys):
    arguments = ["bench", "--config", "config.json", "--network", "network.py", "--batch", "3"]
    assert main([*arguments, "--json", "out.json", "--trace", "trace.json"]) == 0
    report = json.loads((inputs / "out.json").read_text())
    assert report["bit_exact"] is True and report["network"] == "network.py"
    assert report["mac_busy"] + sum(report["stalls"].values()) == report["rtl_cycles"]
    assert report["dram_bytes"] > 0 and report["roofline_cycles"] >= report["ideal_cycles"]
    # 3 images: 6 positions of 5 outputs with 9 inputs, FP and WU; 30 x 3 weights, FP, BP, WU
    assert report["ideal_cycles"] == 3 * (2 * 6 * 45 + 3 * 90) / 16
    assert len(report["profile"]["descriptors"]) == 8
    check_trace(json.loads((inputs / "trace.json").read_text()))
    text = capsys.readouterr().out
    assert "\n0.Conv2d forward " in text and "\nwhere " in text and "exact" in text


@pytest.mark.rtl
def test_bench_of_a_network_sees_wrong_bits(inputs, monkeypatch, capsys):
    from eftrain_hw.runtime import golden_device

    monkeypatch.setattr(golden_device, "training_step", lambda *_, **__: None)
    arguments = ["bench", "--config", "config.json", "--network", "network.py", "--batch", "3"]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error == "eftrain bench: network.py: the RTL differs from the golden model\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--in-channels", "4"], "--out-channels must be given, or --network"),
        (["--network", "none"],
         f"--network must be one of {', '.join(NETWORKS)}, or a Python file, not 'none'"),
        (["--in-channels", "4", "--out-channels", "4", "--trace", "t.json"],
         "--trace must go with --network"),
    ],
)  # fmt: skip
def test_bad_bench_options(inputs, capsys, arguments, message):
    assert main(["bench", "--config", "config.json", *arguments]) == 2
    assert capsys.readouterr().err == f"eftrain bench: {message}\n"
