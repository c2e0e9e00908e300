"""One layer's passes on the RTL: the bits, the report's fields, and errors that name the option."""

import json
from pathlib import Path

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.cli import main
from eftrain_hw.runtime.benchmark import PASSES, Layer, LayerBench, LayerError
from eftrain_hw.runtime.benchmark.network import bench_network
from sim.models.conv_networks import CONV_NETWORKS
from sim.models.step_bench import CONFIGS

CONV = Layer(
    in_channels=5, out_channels=7, height=9, width=6, kernel=3, stride=2, padding=1, batch=3
)
LAYERS = {
    "strided": CONV,
    "without ReLU": Layer(
        in_channels=4, out_channels=4, height=5, width=7, kernel=2, relu=False, batch=2
    ),
    "first": Layer(in_channels=1, out_channels=3, height=6, width=5, kernel=3, first=True, batch=5),
    "linear": Layer(kind="linear", in_channels=19, out_channels=9, batch=5),
    "dilated": Layer(
        in_channels=5, out_channels=7, height=9, width=7, kernel=(3, 2), stride=(2, 1),
        padding=(3, 1), dilation=(3, 2), batch=2,
    ),
    "depthwise": Layer(
        in_channels=9, out_channels=9, height=5, width=7, kernel=3, padding=1, groups=9, batch=2
    ),
    "groups": Layer(
        in_channels=16, out_channels=32, height=5, width=4, kernel=2, stride=2, groups=2, batch=2
    ),
    "transposed": Layer(
        in_channels=6, out_channels=5, height=4, width=3, kernel=2, stride=(3, 2), transposed=True,
        batch=2,
    ),
    "transposed, groups": Layer(
        in_channels=8, out_channels=16, height=3, width=4, kernel=3, stride=2, padding=1, groups=4,
        transposed=True, relu=False, batch=2,
    ),
    "raw": Layer(
        in_channels=5, out_channels=9, height=5, width=4, kernel=3, padding=1, batch=2, raw=True
    ),
    "raw, transposed": Layer(
        in_channels=5, out_channels=9, height=3, width=4, kernel=3, stride=2, batch=2, raw=True,
        transposed=True,
    ),
}  # fmt: skip
FIELDS = {
    "ideal_cycles", "rtl_cycles", "model_cycles", "roofline_cycles", "dram_bytes", "utilisation",
    "bit_exact", "stalls",
}  # fmt: skip


def bench(layer, name="4x4", **options):
    return LayerBench(layer, CONFIGS[name], step_limit=200_000, **options)


def tensor_bytes(program, *names):
    specs = [program.tensors[name] for name in names]
    return sum(spec.nbytes + spec.exponent_nbytes for spec in specs)


@pytest.mark.rtl
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_every_pass_is_exact(layer, config):
    with bench(layer, config) as device:
        for which in layer.passes:
            report = device.run(which)
            assert report["bit_exact"], which
            assert report["rtl_cycles"] > report["ideal_cycles"] or which == "bp"
            assert report["roofline_cycles"] >= report["ideal_cycles"]


@pytest.mark.rtl
def test_report():
    with bench(CONV) as device:
        report = device.run("fp")
        touched = tensor_bytes(device.program, "x", "y", "layer.weight", "layer.bias.master")
    assert report.keys() >= FIELDS
    json.dumps(report)
    # 3 images, 7 x 5 x 3 x 3 weights, 5 x 3 pixels; 16 MACs a cycle
    assert report["macs"] == 3 * 315 * 15 and report["ideal_cycles"] == 3 * 315 * 15 / 16
    assert report["utilisation"] == report["ideal_cycles"] / report["rtl_cycles"]
    assert touched <= report["dram_bytes"] < 8 * touched
    roofline = max(report["ideal_cycles"], report["dram_bytes"] / 16)
    assert report["roofline_cycles"] == roofline
    assert {"load", "stationary", "drain", "store", "descriptor"} < set(report["stalls"])
    # 5 and 7 channels are 2 blocks of 4 each: one of outputs for each of 2 x 3 x 3 steps
    assert report["mac_busy"] == 2 * 3 * 15 * 2 * 9
    assert report["mac_busy"] + sum(report["stalls"].values()) == report["rtl_cycles"]


@pytest.mark.rtl
@pytest.mark.parametrize("which", PASSES)
def test_a_wrong_bit_is_seen(which):
    with bench(CONV) as device:
        expected = device.expected(which)
        for value in expected.values():
            array = value if isinstance(value, np.ndarray) else value.elements
            bits = array.view(np.uint8).reshape(-1)
            bits[-1] ^= 1
            assert not device.run(which, expected=expected)["bit_exact"]
            bits[-1] ^= 1
        assert device.run(which, expected=expected)["bit_exact"]


@pytest.mark.rtl
def test_a_stray_write_is_seen():
    """What a pass stores and nobody expects, here the bias gradient, is an error."""
    with bench(CONV) as device:
        expected = device.expected("wu")
        del expected["layer.bias.gradient"]
        assert not device.run("wu", expected=expected)["bit_exact"]


@pytest.mark.rtl
def test_data_follow_the_seed():
    with bench(CONV, seed=1) as one, bench(CONV, seed=1) as same, bench(CONV, seed=2) as other:
        bits = [device.expected("fp")["y"].elements.tobytes() for device in (one, same, other)]
    assert bits[0] == bits[1] != bits[2]


@pytest.mark.rtl
def test_unknown_pass():
    with bench(LAYERS["first"]) as device:
        with pytest.raises(ValueError, match="^pass must be one of fp, wu, not 'bp'$"):
            device.run("bp")


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (Layer(in_channels=16, out_channels=32, height=8, width=4, batch=2), 2 * 512 * 32),
        (Layer(in_channels=3, out_channels=2, height=5, width=5, kernel=5, batch=1), 150),
        (Layer(in_channels=1, out_channels=1, height=9, width=7, kernel=3, stride=3), 16 * 9 * 6),
        (Layer(kind="linear", in_channels=100, out_channels=10, batch=4), 4000),
        (Layer(in_channels=6, out_channels=4, height=5, width=9, kernel=(1, 3), groups=2, batch=1),
         12 * 3 * 35),
        (Layer(in_channels=2, out_channels=3, height=4, width=5, kernel=2, stride=2, batch=1,
               transposed=True), 24 * 20),
    ],
)
def test_macs(layer, macs):
    assert layer.macs == macs


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"kind": "pool"}, "kind", "must be one of conv, linear, not 'pool'"),
        ({"in_channels": 0}, "in_channels", "must be 1 to 65535, not 0"),
        ({"out_channels": 2.0}, "out_channels", "must be an integer, not 2.0"),
        ({"stride": 5}, "stride", "must be 1 to 4, not 5"),
        ({"batch": 4097}, "batch", "must be 1 to 4096, not 4097"),
        ({"padding": 3}, "padding", "must be less than the kernel (3), not 3"),
        ({"padding": (0, 3)}, "padding", "must be less than the kernel (3), not 3"),
        (
            {"padding": 5, "dilation": 2},
            "padding",
            "must be less than the dilated kernel (5), not 5",
        ),
        ({"kernel": (3, 12)}, "kernel", "must be 1 to 11, not 12"),
        ({"kernel": (3, 3, 3)}, "kernel", "must be an integer, not (3, 3, 3)"),
        ({"height": (9, 9)}, "height", "must be an integer, not (9, 9)"),
        ({"dilation": 65}, "dilation", "must be 1 to 64, not 65"),
        (
            {"dilation": 5},
            "kernel",
            "must be at most the padded input's side (8), not 11",
        ),
        (
            {"groups": 2},
            "groups",
            "must divide in_channels (5) and out_channels (7), not 2",
        ),
        (
            {"transposed": True, "height": 1, "width": 1, "kernel": 3, "padding": 2},
            "padding",
            "must leave a pixel of the output, not 2",
        ),
        (
            {"padding": 0, "width": 2},
            "kernel",
            "must be at most the padded input's side (2), not 3",
        ),
        ({"kind": "linear"}, "height", "must be 1 in a linear layer, not 9"),
    ],
)
def test_bad_layers_are_named(changes, field, rule):
    sizes = dict(in_channels=5, out_channels=7, height=9, width=6, kernel=3, padding=1)
    with pytest.raises(LayerError) as error:
        Layer(**sizes | changes)
    assert (error.value.field, error.value.rule) == (field, rule)
    assert str(error.value) == f"Layer.{field} {rule}"


def command(config, *more):
    channels = ["--in-channels", "5", "--out-channels", "7"]
    return main(["bench", "--config", str(config), *channels, "--batch", "3", *more])


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGS["4x4"].to_dict()))
    return path


@pytest.mark.rtl
def test_command(config, tmp_path, capsys):
    out = tmp_path / "out.json"
    size = ["--height", "9", "--width", "6", "--stride", "2"]
    assert command(config, *size, "--json", str(out)) == 0
    reports = json.loads(out.read_text())
    assert list(reports) == ["fp", "bp", "wu"]
    assert all(report["bit_exact"] for report in reports.values())
    text = capsys.readouterr().out
    assert text.startswith("3x3 / 2, 5 -> 7, 9x6, batch 3, 4x4 bfp8\n") and "exact" in text
    assert command(config, *size, "--pass", "bp", "--json", str(out)) == 0
    report = json.loads(out.read_text())
    del report["simulation_seconds"], reports["bp"]["simulation_seconds"]
    assert report == reports["bp"]


@pytest.mark.rtl
def test_command_of_a_linear_layer(config, capsys):
    assert command(config, "--layer", "linear", "--pass", "wu") == 0
    assert capsys.readouterr().out.startswith("linear 5 -> 7, batch 3")


@pytest.mark.rtl
def test_command_of_other_convolutions(config, capsys):
    size = ["--height", "4", "--width", "5", "--kernel", "3x2", "--dilation", "1x2", "--raw"]
    assert command(config, *size, "--stride", "2x1", "--transposed", "--pass", "fp") == 0
    title = "3x2 transposed / 2x1 dilated 1x2, 5 -> 7, 4x5, batch 3"
    assert capsys.readouterr().out.startswith(title)
    assert command(config, "--groups", "5", "--height", "4") == 2
    assert "--groups must divide in_channels (5)" in capsys.readouterr().err


@pytest.mark.rtl
def test_wrong_bits_fail_the_command(config, monkeypatch, capsys):
    monkeypatch.setattr(LayerBench, "expected", lambda self, which: {})
    assert command(config, "--height", "4", "--pass", "fp") == 1
    assert "eftrain bench: fp: the RTL differs from the golden model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pass", "dx"], "--pass must be one of fp, bp, wu, all, not 'dx'"),
        (["--pass", "bp", "--first"], "--pass must be one of fp, wu with --first"),
        (["--layer", "pool"], "--layer must be one of conv, linear, not 'pool'"),
        (["--layer", "linear", "--kernel", "2"], "--kernel must be 1 in a linear layer, not 2"),
        (["--in-channels", "0"], "--in-channels must be 1 to 65535, not 0"),
        (["--height", "0"], "--height must be 1 to 65535, not 0"),
        (["--height", "2", "--kernel", "5", "--padding", "1"],
         "--kernel must be at most the padded input's side (4), not 5"),
        (["--kernel", "12"], "--kernel must be 1 to 11, not 12"),
        (["--seed", "-1"], "--seed must be 0 or more, not -1"),
        (["--rows", "3"], "--rows must be even, 2 to 64, not 3"),
        (["--format", "bf16"],
         "--format must be bfp8, bfp16, fp32 or PASS=FORMAT,.., not 'bf16'"),
        (["--format", "update=bfp16"],
         "--format must name passes of ('forward', 'backward', 'weight_gradient'), not 'update'"),
    ],
)  # fmt: skip
def test_bad_options_are_named(config, capsys, arguments, message):
    assert command(config, *arguments) == 2
    assert capsys.readouterr().err == f"eftrain bench: {message}\n"


def test_what_does_not_fit_is_named(capsys):
    small = AcceleratorConfig(rows=4, lanes=4, accumulator_depth=32)
    wide = Layer(in_channels=4, out_channels=4, height=1, width=60000, batch=1)
    with pytest.raises(ValueError, match="layer forward: the configuration can't hold one tile"):
        LayerBench(wide, small)


def test_performance_page(monkeypatch):
    """The page of `make bench` has a row for every pass, and names what is wrong."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    from bench_layers import EF_TRAIN, LAYERS, VGG16, bar_of
    from bench_table import performance_page

    assert {name: set(layer.passes) for name, layer in VGG16.items()} == {
        name: set(shares) for name, shares in EF_TRAIN.items()
    }
    report = {
        "batch": 16,
        "ideal_cycles": 970.0,
        "rtl_cycles": 1000,
        "model_cycles": 1010,
        "roofline_cycles": 980.0,
        "utilisation": 0.97,
        "mac_busy": 970,
        "stalls": {"moving": 5, "accumulator": 20},
        "bit_exact": True,
    }
    layers = [
        {"section": section, "layer": str(layer), "pass": which, "bar": bar_of(layer), **report}
        for section, found in LAYERS.items()
        for layer in found
        for which in layer.passes
    ]
    layers[0] |= {"bit_exact": False, "model_cycles": None}
    step = {"network": "VGG-16", "ef_train": None, **report, "rtl_cycles": None}
    tools = {"generate_seconds": 1.0, "compile_seconds": 40.0, "sim_cycles_per_second": 3e5}
    config = CONFIGS["4x4"].to_dict()
    page = performance_page({"layers": layers, "steps": [step], "config": config, **tools})
    rows = [line for line in page.splitlines() if line.startswith("|") and " 1,000 " in line]
    assert len(rows) == len(layers)
    assert page.count("(wrong bits)") == 1 and page.count("1,010 (+1.0%)") == len(layers) - 1
    first = next(line for line in rows if "conv1: 3x3, 3 -> 64" in line)
    assert first.endswith("| FP | 970 | 980 | 1,000 | 1,010 (+1.0%) | 97.0% | 98.0% |"
                          " accumulator 2.0% | 16.0% |")  # fmt: skip
    assert "| VGG-16 | 16 | 970 |  | 1,010 | 96.0% |  |" in page


@pytest.mark.rtl
@pytest.mark.parametrize("name", ["grouped", "upsampled", "partly_frozen"])
def test_a_trainer_takes_every_convolution(name):
    """Parameters, masks and momentum reach the device, and a step of `Trainer.fit` is exact."""
    report, profile = bench_network(CONV_NETWORKS[name](), CONFIGS["4x4"], batch=2)
    assert report["bit_exact"] and 0 < report["utilisation"] < 1
    names = [each.name for each in profile.descriptors]
    assert any(name.endswith(" gradient") for name in names)
