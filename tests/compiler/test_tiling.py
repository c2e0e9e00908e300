"""The choice of tiles: by the analytical model, lean where that costs little."""

from dataclasses import replace

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.compiler.passes import forward
from eftrain_hw.compiler.passes.choose import best_of
from eftrain_hw.compiler.tiling import Tiling
from eftrain_hw.compiler.timing import descriptor_time
from eftrain_hw.runtime.benchmark.layer import Layer, layer_program
from eftrain_hw.sequencer.interpreter import issued_commands

CONFIG = AcceleratorConfig()


def tilings(*entries):
    """Tilings of (cycles, traffic in beats), by estimates and by the model alike."""
    found = []
    for cycles, beats in entries:
        tiling = Tiling(["row"], {"row": 1}, bound=1000, cycles=cycles)
        tiling.load_bytes = beats * CONFIG.bus_bytes
        found.append(tiling)
    return found


@pytest.mark.parametrize(
    "entries, best",
    [
        ([(1020, 500), (1010, 900), (1027, 100), (1040, 0)], 2),  # the last is too slow
        ([(1005, 900), (1010, 890)], 0),  # lean, but not by enough
        ([(1300, 500), (1200, 900), (1400, 100)], 1),  # all too slow: the fastest
    ],
)
def test_the_leanest_of_the_fast(entries, best):
    found = tilings(*entries)
    # estimates that know nothing: only the model tells them apart
    blind = [replace(tiling, cycles=1) for tiling in found]
    chosen = best_of(CONFIG, blind, lambda tiling: entries[blind.index(tiling)], alone=True)
    assert chosen is blind[best]


def model_cycles(**sizes):
    """Cycles of each pass of a layer, from its first command on."""
    layer = Layer(**sizes)
    program = layer_program(layer, CONFIG)
    times = {name: descriptor_time(CONFIG, d[0]) for name, d in program.descriptors.items()}
    return {name: time.cycles - time.fetch for name, time in times.items()}


def test_four_times_the_work():
    """4 x the images, or 2 x the channels on both sides: at most 4.05 x the cycles."""
    rng = np.random.default_rng(5)
    for _ in range(4):
        blocks = rng.integers(1, 4, 2)
        side, stride = int(rng.choice([14, 16, 20])), int(rng.choice([1, 2]))
        sizes = {
            "in_channels": 16 * int(blocks[0]),
            "out_channels": 16 * int(blocks[1]),
            "height": side * stride,
            "width": side * stride,
            "kernel": 3,
            "stride": stride,
            "padding": 1,
            "batch": 4 * int(rng.integers(1, 3)),
        }
        alone = model_cycles(**sizes)
        batch = model_cycles(**sizes | {"batch": 4 * sizes["batch"]})
        wide = {name: 2 * sizes[name] for name in ("in_channels", "out_channels")}
        channels = model_cycles(**sizes | wide)
        for name, cycles in alone.items():
            assert batch[name] <= 4.05 * cycles, (name, sizes)
            assert channels[name] <= 4.05 * cycles, (name, sizes)


def test_one_search_for_each_convolution(monkeypatch):
    """The pooling that rides on a convolution's tiles does not search for them again."""
    searched = []
    search = forward.forward_tilings
    monkeypatch.setattr(
        forward,
        "forward_tilings",
        lambda config, op, batch: searched.append(op.name) or search(config, op, batch),
    )
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 3),
        input_shape=(1, 8, 8),
    )
    loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(lr=0.1)
    compile_network(network, CONFIG, batch_size=4, loss=loss, optimizer=optimizer)
    assert searched == ["0.Conv2d", "3.Linear"]


@pytest.mark.parametrize(
    "channels, kernel, stride", [(16, 1, 2), (512, 1, 2), (16, 1, 3), (64, 2, 4), (512, 2, 4)]
)
def test_pixels_without_taps_start_once_for_each_bank(channels, kernel, stride):
    layer = Layer(
        in_channels=16,
        out_channels=channels,
        height=8 * stride,
        width=8 * stride,
        kernel=kernel,
        stride=stride,
        batch=6,
    )
    program = layer_program(layer, CONFIG)
    bank, taken, started = 0, False, [set(), set()]
    again = 0
    for issued in issued_commands(program.words("bp")):
        if issued.opcode != COMPUTE.opcode:
            continue
        c = issued.fields
        assert not (taken and c["acquire_accumulator"])
        taken = taken or c["acquire_accumulator"]
        assert taken
        if c["zero"]:
            assert c["init"] and not c["release_moving"] and not c["release_stationary"]
            for n in np.ndindex(*(c[f"inner{d}"] for d in range(4))):
                steps = (k * c[f"accumulator_inner{d}"] for d, k in enumerate(n))
                place = c["accumulator_base"] + sum(steps)
                again += place in started[bank]
                started[bank].add(place)
        if c["release_accumulator"]:
            bank, taken = 1 - bank, False
    tile = dict(program.schedule)["layer backward"]
    rows = tile.full["row"]
    pixels = tile.full["image"] * rows * layer.width
    hollow = pixels - pixels * kernel**2 // stride**2
    assert [len(places) for places in started] == [hollow, hollow]
    inner = [n for n in tile.loops if n != "reduction" and tile.counts[n] > 1][-1]
    assert again <= (tile.counts[inner] - 2) * hollow + tile.tiles
