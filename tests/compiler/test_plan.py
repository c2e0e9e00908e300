"""`eftrain plan`: the table, the JSON, and what it refuses."""

import json

import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.cli import main
from eftrain_hw.compiler.devices import device_of
from eftrain_hw.compiler.explore import Exploration, Point, explore, pareto
from eftrain_hw.compiler.plan import PassPlan, StepPlan, plan_step
from eftrain_hw.compiler.resources import Resources, resources
from eftrain_hw.compiler.roofline import roofline_points, write_roofline
from eftrain_hw.networks import NETWORKS, digits, lenet5

FIELDS = {
    "layer", "pass", "macs", "ideal_cycles", "model_cycles", "roofline_cycles", "dram_bytes",
    "least_bytes", "on_chip_bytes", "utilisation", "limit",
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
        (["--network", "resnet"], "or a Python file, not 'resnet'"),
        (["--network", "digits", "--rows", "5"], "--rows must be even, 2 to 64, not 5"),
        (["--network", "digits", "--batch", "0"], "--batch must be at least 1, not 0"),
        (["--network", "digits", "--batch", "-4"], "--batch must be at least 1, not -4"),
        (["--network", "digits", "--board", "ml605"], "--board must be one of pynq-z2, zcu102"),
        (["--network", "digits", "--plot", "x.txt"], "--plot must end in .png, .svg or .pdf"),
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
    found = explore(digits(), AcceleratorConfig(), 8, choices=choices)
    points = found.points
    assert (found.tried, found.fitting) == (12, 10)  # 260 DSP slices are too many
    shapes = {(p.config.rows, p.config.lanes) for p in points}
    assert (32, 16) not in shapes  # 260 DSP slices
    assert (16, 16) in shapes and (8, 8) in shapes
    assert all(not p.resources.missing("xc7z020") for p in points)
    front = pareto(points)
    assert [p.step_cycles for p in front] == sorted(p.step_cycles for p in front)
    for p in front:
        assert not any(
            q.step_cycles < p.step_cycles
            and q.resources.lut < p.resources.lut
            and q.resources.bram < p.resources.bram
            for q in points
        )
    assert front[0].row().split()[1] == f"{front[0].config.rows}x{front[0].config.lanes}"


def test_pareto_by_hand():
    def point(cycles, lut, bram):
        return Point(None, Resources(lut=lut, bram=bram), cycles)

    fast, small, few, beaten = point(1, 9, 9), point(9, 1, 9), point(9, 9, 1), point(9, 9, 9)
    assert pareto([beaten, few, fast, small]) == [fast, few, small] or pareto(
        [beaten, few, fast, small]
    ) == [fast, small, few]
    # within the margin nothing is given up
    assert len(pareto([point(100, 5, 5), point(105, 6, 6)], 1.1)) == 2


def test_a_larger_board_takes_more():
    used = resources(AcceleratorConfig(rows=32, lanes=32))
    assert used.missing(device_of("pynq-z2")) and not used.missing(device_of("zcu102"))


def test_plot(tmp_path):
    out = tmp_path / "roofline.png"
    assert main(["plan", "--network", "digits", "--batch", "4", "--plot", str(out)]) == 0
    assert out.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_plot_of_what_was_found(tmp_path):
    configs = [AcceleratorConfig(rows=8, lanes=8, format=name) for name in ("bfp8", "fp32")]
    points = [Point(config, resources(config), 10**6) for config in configs]
    one = PassPlan("0.Conv2d", "forward", 6400, 100, 200, 100, 1600, 1600, 64, "memory")
    plan = StepPlan(configs[0], 4, 0, [one], 10**6)
    write_roofline(plan, tmp_path / "front.png", "two", Exploration(points, 9, 2))
    assert (tmp_path / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert pareto(points) == points  # another format beats nobody


def test_points_lie_under_the_roof():
    plan = plan_step(digits(), AcceleratorConfig(), 8)
    points = roofline_points(plan)
    assert len(points) == 3 * 3 - 1  # the first layer has no BP
    for p, intensity, speed in points:
        assert speed < min(256, 16 * intensity), p
