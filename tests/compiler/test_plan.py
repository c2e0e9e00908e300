"""`eftrain plan`: the table, the JSON, and what it refuses."""

import json

import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.cli import main
from eftrain_hw.compiler.explore import explore, pareto
from eftrain_hw.compiler.plan import plan_step
from eftrain_hw.networks import NETWORKS, digits, lenet5

FIELDS = {
    "layer", "pass", "macs", "ideal_cycles", "model_cycles", "roofline_cycles", "dram_bytes",
    "on_chip_bytes", "utilisation", "limit",
}  # fmt: skip


def test_writes_every_pass(tmp_path, capsys):
    out = tmp_path / "plan.json"
    arguments = ["--network", "digits", "--batch", "16", "--rows", "16", "--lanes", "16"]
    assert main(["plan", *arguments, "--format", "bfp8", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["network"] == "digits" and report["config"]["rows"] == 16
    assert {p["pass"] for p in report["passes"]} == {
        "forward", "backward", "weight gradient", "update", "loss",
    }  # fmt: skip
    for entry in report["passes"]:
        assert entry.keys() == FIELDS
        assert entry["ideal_cycles"] == entry["macs"] / 256
        assert entry["model_cycles"] > entry["roofline_cycles"] >= entry["ideal_cycles"]
        assert entry["roofline_cycles"] >= entry["dram_bytes"] / 16
    totals = report["totals"]
    for name in ("macs", "ideal_cycles", "model_cycles", "dram_bytes"):
        assert totals[name] == sum(entry[name] for entry in report["passes"])
    assert totals["convolution"]["macs"] < totals["macs"]
    assert 0 < totals["step_cycles"] < totals["model_cycles"]
    assert report["resources"]["dsp"] == 132
    table = capsys.readouterr().out.splitlines()
    assert len(table) > len(report["passes"]) and "limit" in table[0]


def test_macs_are_the_networks_own():
    plan = plan_step(lenet5(), AcceleratorConfig(), 4)
    forward = {p.layer: p.macs for p in plan.passes if p.pass_name == "forward" and p.macs}
    assert forward == {
        "0.Conv2d": 4 * 28 * 28 * 6 * 25,
        "3.Conv2d": 4 * 10 * 10 * 16 * 6 * 25,
        "7.Linear": 4 * 400 * 120,
        "9.Linear": 4 * 120 * 84,
        "11.Linear": 4 * 84 * 10,
    }


def test_first_layer_is_that_layer_alone():
    plan = plan_step(NETWORKS["cifar"](), AcceleratorConfig(), 4)
    first = [p for p in plan.passes if p.layer == "0.Conv2d" and p.macs]
    assert plan.total("0.Conv2d")["model_cycles"] == sum(p.model_cycles for p in first)


def test_takes_a_file(tmp_path, capsys):
    path = tmp_path / "network.py"
    path.write_text(
        "from eftrain_hw import nn\n"
        "network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), input_shape=(1, 8, 8))\n"
    )
    assert main(["plan", "--network", str(path), "--batch", "2", "--config", "sim-small"]) == 0
    assert "1.Linear" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "resnet"], "--network must be a Python file, not 'resnet'"),
        (["--network", "digits", "--rows", "5"], "AcceleratorConfig.rows must be even, 2 to 64"),
        (["--network", "digits", "--batch", "0"], "batch_size must be 1 to 4096, not 0"),
    ],
)
def test_refusals(arguments, message, capsys):
    assert main(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_networks_have_pytorchs_shapes():
    assert digits().input_shape == (1, 8, 8)
    shapes = [p["weight"] for p in (layer.parameters() for layer in NETWORKS["vgg16"]()) if p]
    assert len(shapes) == 16 and shapes[0] == (64, 3, 3, 3) and shapes[-1] == (1000, 4096)


def test_explore_keeps_what_none_beats():
    choices = {"rows": (8, 16, 32), "lanes": (8, 16), "drain_lanes": (4, 8)}
    points = list(explore(digits(), AcceleratorConfig(), 8, choices=choices))
    shapes = {(p.config.rows, p.config.lanes) for p in points}
    assert (32, 16) not in shapes  # 260 DSP slices
    assert (16, 16) in shapes and (8, 8) in shapes
    front = pareto(points)
    assert [p.step_cycles for p in front] == sorted(p.step_cycles for p in front)
    for p in front:
        assert not any(
            q.step_cycles <= p.step_cycles and q.resources.lut < p.resources.lut for q in points
        )
    assert {id(p) for p in front} < {id(p) for p in points}
    assert front[0].row().split()[1] == f"{front[0].config.rows}x{front[0].config.lanes}"
