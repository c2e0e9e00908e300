"""The memory ledger counts every tensor, once, on both sides."""

import json
import re

import pytest

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.cli import main
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.ledger import (
    Entry,
    Ledger,
    _program_estimate,
    memory_ledger,
    twin_ledger,
)
from eftrain_hw.compiler.precision import Precision
from eftrain_hw.compiler.rebuild import dense_twin, with_ranks
from eftrain_hw.networks import digits

CONFIG = AcceleratorConfig.preset("sim-small").replace(lanes=4)
SGD = optim.SGD(lr=0.1)
FILE = "scripts/networks/tensor_train.py"


def network(rank=3):
    return nn.Sequential(
        nn.TTLinear(84, 24, (7, 3, 4), (6, 2, 2), rank=rank), nn.ReLU(), nn.Linear(24, 5),
        input_shape=(84,),
    )  # fmt: skip


def ledger(net, optimizer=SGD, batch_size=2, **settings):
    return memory_ledger(net, CONFIG, batch_size=batch_size, loss=nn.CrossEntropyLoss(),
                         optimizer=optimizer, **settings)  # fmt: skip


def sizes(found):
    return {entry.name: entry.nbytes for entry in found.entries}


def test_widths_are_counted_in_bits():
    plain = sizes(ledger(network()))
    narrow = sizes(ledger(network(), precision=Precision(weights=4, gradients=16, master=16)))
    vectors = 2 * 1 * 4 * 3  # core 1: (2 modes) x 1 block, kernel 3, 4 input lanes
    assert plain["0.cores.1"] == vectors * (4 + 1)
    assert narrow["0.cores.1"] == vectors * (2 + 1)
    assert plain["0.cores.1.master"] == vectors * 16 and narrow["0.cores.1.master"] == vectors * 8
    assert plain["0.cores.1.gradient"] == vectors * 16
    assert narrow["0.cores.1.gradient"] == vectors * 9
    assert narrow["dy0.0"] - plain["dy0.0"] == plain["y0.0"] * 4 // 5  # a byte more an element


def test_every_tensor_is_there():
    settings = {"batch_size": 2, "loss": nn.CrossEntropyLoss()}
    program = prepare(network(), CONFIG, optimizer=optim.SGD(lr=1, momentum=0.5), **settings)
    stored = {name for name, spec in program.tensors.items() if spec.view is None}
    found = ledger(network(), optim.SGD(lr=1, momentum=0.5)).entries
    assert {entry.name for entry in found if entry.kind != "program"} == stored
    left = stored - set(sizes(ledger(network())))
    assert left and all(name.startswith("0.") and name.endswith(".momentum") for name in left)


def test_networks_with_descriptors_count_their_programs():
    found = memory_ledger(digits(), AcceleratorConfig.preset("sim-small"), batch_size=4,
                          loss=nn.CrossEntropyLoss(), optimizer=SGD)  # fmt: skip
    assert found.programs_counted and found.by_kind["program"] > 1000
    assert found.program_estimate == 0
    assert ledger(network()).programs_counted
    narrow = ledger(network(), precision=Precision(weights=4, gradients=16, master=16))
    assert not narrow.programs_counted
    known = [e.nbytes for e in ledger(network()).entries if e.kind == "program"]
    assert narrow.program_estimate == sum(known) > 3000


def test_packed_programs_take_a_third():
    settings = {"batch_size": 1, "loss": nn.CrossEntropyLoss(), "optimizer": SGD}
    sizes_of = [
        sizes(memory_ledger(network(), config, **settings))["program.train"]
        for config in (CONFIG, CONFIG.replace(packed_programs=True))
    ]
    assert 3 * sizes_of[1] < sizes_of[0]


def test_estimate_of_programs_is_near_those_of_dense_networks():
    dense = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(),
                          nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10),
                          input_shape=(64,))  # fmt: skip
    counted = sizes(ledger(dense))["program.train"]
    settings = {"batch_size": 2, "loss": nn.CrossEntropyLoss(), "optimizer": SGD}
    estimate = _program_estimate(prepare(dense, CONFIG, **settings))
    assert estimate == pytest.approx(counted, rel=0.1)


def test_places_are_shared_over_time_only():
    entries = [Entry("a", "weights", 100, 0, 9), Entry("b", "activations", 50, 0, 3),
               Entry("c", "gradients", 40, 4, 9), Entry("d", "gradients", 20, 3, 5)]  # fmt: skip
    assert Ledger(entries).total == 210 and Ledger(entries).shared == 170
    assert Ledger([*entries, Entry("e", "gradients", 30, 4, 9)]).shared == 190


@pytest.mark.parametrize("optimizer", [SGD, optim.SGD(lr=1, accumulation=2)])
def test_what_is_live_never_exceeds_what_is_shared(optimizer):
    for found in (ledger(network(), optimizer),
                  twin_ledger(network(), batch_size=2, optimizer=optimizer)):  # fmt: skip
        last = max(entry.end for entry in found.entries)
        live = [
            sum(e.nbytes for e in found.entries if e.start <= at <= e.end)
            for at in range(last + 1)
        ]
        assert max(live) <= found.shared <= 1.1 * max(live) and found.shared <= found.total


def test_activations_live_until_they_are_read_for_the_last_time():
    program_order = {e.name: (e.start, e.end) for e in ledger(network()).entries}
    n = 5  # three steps, the bias, Linear
    assert program_order["y0.0"] == (0, 2 * n - 1)  # step 2's gradients
    assert program_order["y0.2"] == (2, 3)  # read by the bias alone
    assert program_order["y0"] == (3, 2 * n - 4)
    assert program_order["dy0.0"] == (2 * n - 1, 2 * n)
    assert program_order["dy0"] == (2 * n - 4, 2 * n - 2)  # it is the last step's gradient too
    assert program_order["0.cores.0.gradient"] == (2 * n - 2, 2 * n - 2)


def test_twin_is_dense():
    twin = dense_twin(network())
    assert [type(node.layer).__name__ for node in twin.nodes] == ["Linear", "ReLU", "Linear"]
    found = twin_ledger(network(), batch_size=3, optimizer=optim.SGD(lr=1, momentum=0.9))
    parameters = 84 * 24 + 24 + 24 * 5 + 5
    kinds = found.by_kind
    assert kinds["weights"] == kinds["optimizer state"] == 4 * parameters and not kinds["master"]
    assert kinds["gradients"] == 4 * parameters + 3 * 4 * (24 + 5)
    assert kinds["activations"] == 3 * 4 * (84 + 24 + 5)


def test_other_ranks_are_checked():
    assert with_ranks(network(), {"0": (1, 2)}).nodes[0].layer.rank == (1, 2)
    with pytest.raises(ValueError, match=re.escape("of tensor-train layers ['0'], not of '2'")):
        with_ranks(network(), {"2": 1})
    with pytest.raises(ValueError, match=re.escape("layer 0 (TTLinear): TTLinear.rank must be at")):
        with_ranks(network(), {"0": (1, 9)})


def test_command_reports_start_end_and_twin(tmp_path, capsys):
    path = tmp_path / "ledger.json"
    arguments = ["plan", "--memory", "--network", FILE, "--batch", "1", "--config", "sim-small",
                 "--bits", "4,8,16,16", "--momentum", "0", "--lanes", "4", "--end-ranks", "1=3,3,3",
                 "--json", str(path)]  # fmt: skip
    assert main(arguments) == 0
    report, printed = json.loads(path.read_text()), capsys.readouterr().out
    assert report["end"]["ratio"] > report["start"]["ratio"] > 1
    assert report["start"]["ratio"] == pytest.approx(
        report["twin"]["shared_bytes"] / report["start"]["shared_bytes"]
    )
    for tensor in report["end"]["tensors"]:
        assert re.search(rf"^{re.escape(tensor['name'])} +[\d,]+  {tensor['kind']}$", printed, re.M)


@pytest.mark.parametrize(("option", "message"), [
    (["--bits", "4,8"], "--bits must be four integers, such as 4,8,16,16, not '4,8'"),
    (["--bits", "9,8,8,16"], "Precision.weights must be one of (2, 3, 4, 5, 6, 7, 8), not 9"),
    (["--end-ranks", "1"], "--end-ranks must be LAYER=R,R,.., such as 0=3,4,3, not '1'"),
    (["--end-ranks", "1=0,1,1"], "TTLinear.rank must be at least 1 everywhere, not 0"),
    (["--end-ranks", "2=1"], "ranks must be of tensor-train layers ['1', '3'], not of '2'"),
    (["--bits", "4,8,8,16", "--format", "fp32"], "precision must be None with format 'fp32'"),
])  # fmt: skip
def test_command_refuses(option, message, capsys):
    assert main(["plan", "--memory", "--network", FILE, "--config", "sim-small", *option]) == 2
    assert message in capsys.readouterr().err
