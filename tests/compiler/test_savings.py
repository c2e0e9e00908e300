"""Parts of networks that are trained, and what the rest saves."""

import json

import pytest

from eftrain_hw import AcceleratorConfig, nn
from eftrain_hw.cli import main
from eftrain_hw.compiler.plan import plan_step
from eftrain_hw.compiler.savings import savings
from eftrain_hw.networks import resnet20

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)


def network():
    body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Residual(body), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 5), input_shape=(3, 4, 4),
    )  # fmt: skip


@pytest.mark.parametrize(("names", "trained"), [
    (["6"], ["6.weight", "6.bias"]),
    (["bias", "BatchNorm2d"], ["0.bias", "1.weight", "1.bias", "3.body.0.bias", "3.body.1.weight",
                               "3.body.1.bias", "6.bias"]),
    (["3.body.0.weight", "1"], ["1.weight", "1.bias", "3.body.0.weight"]),
])  # fmt: skip
def test_train_only(names, trained):
    part = nn.train_only(network(), *names)
    assert list(part.trained()) == trained
    assert nn.thaw(part) == network()


@pytest.mark.parametrize("name", ["7", "Conv", "0.gamma"])
def test_names_of_nothing(name):
    with pytest.raises(ValueError, match=f"train_only: names must be layers or .*, not '{name}'"):
        nn.train_only(network(), "bias", name)


def test_every_frozen_parameter_saves():
    previous = None
    for names in (["6"], ["bias", "BatchNorm2d"], ["bias", "BatchNorm2d", "3"]):
        part = nn.train_only(network(), *names)
        plan = plan_step(part, CONFIG, 1)
        saved = savings(part, plan)
        assert saved.cycles < saved.all_cycles and saved.memory_bytes < saved.all_memory_bytes
        now = saved.cycles, saved.memory_bytes
        assert previous is None or now > previous
        previous = now
    whole = plan_step(network(), CONFIG, 1)
    assert (saved.all_cycles, saved.all_memory_bytes) == (whole.step_cycles, whole.memory_bytes)
    assert savings(network(), whole) is None


def test_the_command_reports_it(tmp_path, capsys):
    out = tmp_path / "plan.json"
    arguments = ["plan", "--network", "resnet20", "--image-size", "8", "--channels", "0.5",
                 "--config", "sim-small", "--batch", "1"]  # fmt: skip
    assert main([*arguments, "--train", "Linear", "--json", str(out)]) == 0
    output = capsys.readouterr()
    assert "needs the vector processor: vector_programs=True" in output.err
    assert "2 of 65 parameters trained: saves" in output.out
    report = json.loads(out.read_text())["savings"]
    assert report["trained"] == 2 and report["parameters"] == len(resnet20().parameters())
    assert 2 * report["cycles"] < report["all_cycles"]
    assert main([*arguments, "--train", "Conv9d"]) == 2
    assert "--train must be layers or parameters of the network" in capsys.readouterr().err
    assert main(["plan", "--network", "lenet5", "--image-size", "32"]) == 2
    assert "--network lenet5 has no --image-size to choose" in capsys.readouterr().err
