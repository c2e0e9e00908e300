"""Formats of layers and passes: which tensors have low digits, what is refused."""

import re

import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.cli.formats import apply_format
from eftrain_hw.compiler.compile import prepare

CONFIG = AcceleratorConfig(rows=4, lanes=4, pool_words=256, bfp16=True)
OPTIONS = {"batch_size": 2, "loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(lr=0.1)}


def network(*, conv=None, linear=None, middle=()):
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1, format=conv), nn.ReLU(), *middle, nn.MaxPool2d(2),
        nn.Conv2d(5, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3, format=linear),
        input_shape=(3, 6, 6),
    )  # fmt: skip


def wide(model, format=None, config=CONFIG):
    program = prepare(model, config, **OPTIONS, format=format)
    return sorted(name for name, spec in program.tensors.items() if spec.digits == 2)


def test_everything_in_bfp8_unless_asked_for():
    assert wide(network()) == wide(network(), "bfp8") == wide(network(conv="bfp8")) == []


def test_tensors_that_a_pass_in_bfp16_reads():
    forward = ["0.weight", "3.weight", "6.weight", "x", "y0", "y2", "y3"]
    assert wide(network(), {"forward": "bfp16"}) == forward
    backward = ["0.weight", "3.weight", "6.weight", "dy3", "dy6"]
    assert wide(network(), {"backward": "bfp16"}) == sorted({*backward} - {"0.weight"})
    gradients = ["dy0", "dy2", "dy3", "dy6"]
    assert wide(network(), {"weight_gradient": "bfp16"}) == [*gradients, "x", "y0", "y2", "y3"]
    assert wide(network(), "bfp16") == sorted({*forward, *gradients})


def test_layers_speak_before_the_network():
    assert wide(network(conv="bfp16")) == ["0.weight", "dy0", "dy2", "x"]
    assert wide(network(linear={"forward": "bfp16"})) == ["6.weight", "y3"]
    found = wide(network(linear="bfp8"), "bfp16")
    assert "6.weight" not in found and "dy6" not in found and "3.weight" in found


def test_vector_programs_stay_in_bfp8():
    config = CONFIG.replace(vector_programs=True)
    found = wide(network(middle=[nn.LeakyReLU(0.1)]), "bfp16", config)
    # both sides of it, and what max pooling makes of that
    assert {"y0", "dy0", "y2", "dy2", "y3", "dy3"}.isdisjoint(found)
    assert {"x", "0.weight", "4.weight", "y4", "dy4"} <= set(found)


def test_planes_do_not_overlap():
    program = compile_network(network(), CONFIG, **OPTIONS, format="bfp16")
    spans = sorted(
        span for spec in program.tensors.values() for span in spec.spans() + spec.exponent_spans()
    )
    assert all(start + size <= after for (start, size), (after, _) in zip(spans, spans[1:]))
    x = program.tensors["x"]
    assert x.low_address % 64 == 0 and x.nbytes == 2 * x.plane_nbytes == 2 * 2 * 7 * 36 * 4


def test_checkpoints_fit_whatever_the_formats():
    programs = [
        prepare(network(conv=conv), CONFIG, **OPTIONS)
        for conv in (None, "bfp16", {"weight_gradient": "bfp16", "forward": "bfp8"})
    ]
    assert len({program.fingerprint for program in programs}) == 1
    assert "format='bfp16'" in repr(programs[1].network)
    assert "format" not in repr(programs[0].network)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: nn.Conv2d(1, 1, 1, format="fp32"), ValueError,
            "Conv2d.format must be one of ('bfp8', 'bfp16'), not 'fp32'",
        ),
        (
            lambda: nn.Linear(1, 1, format=16), TypeError,
            "Linear.format must be a format's name or a dict of passes to them, not 16",
        ),
        (
            lambda: nn.ConvTranspose2d(1, 1, 1, format={"update": "bfp16"}), ValueError,
            "ConvTranspose2d.format must name passes of ('forward', 'backward', 'weight_gradient'),"
            " not 'update'",
        ),
        (
            lambda: compile_network(network(), CONFIG, **OPTIONS, format="int8"), ValueError,
            "compile_network: format must be one of ('bfp8', 'bfp16'), not 'int8'",
        ),
        (
            lambda: compile_network(
                network(), CONFIG.replace(bfp16=False), **OPTIONS, format="bfp16"
            ),
            ValueError,
            "0.Conv2d: passes in bfp16 need AcceleratorConfig.bfp16 to be True, not False",
        ),
        (
            lambda: compile_network(
                network(), CONFIG.replace(bfp16=False, format="fp32"), **OPTIONS, format="bfp16"
            ),
            ValueError,
            "compile_network: format must be None with configuration format 'fp32', not 'bfp16'",
        ),
        (
            lambda: compile_network(
                network(linear="bfp16"), CONFIG.replace(bfp16=False, format="fp32"), **OPTIONS
            ),
            ValueError,
            "6.Linear: format must be None with configuration format 'fp32', not 'bfp16'",
        ),
        (
            lambda: compile_network(
                nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(16, 2),
                              input_shape=(1, 8, 16)),
                CONFIG.replace(pool_words=128), **OPTIONS, format="bfp16",
            ),
            ValueError,
            "1.MaxPool2d: a band of 4 rows, 16 columns takes 64 words; the configuration's"
            " pool_words // 4 must be at least that, not 32",
        ),
        (lambda: apply_format(CONFIG, "half"), ValueError, "--format must be bfp8, bfp16, fp32 or"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_the_command_lines_formats():
    eight = CONFIG.replace(bfp16=False)
    assert apply_format(eight, None) == (eight, None)
    assert apply_format(eight, "bfp16") == (CONFIG, "bfp16")
    passes = "weight_gradient=bfp16, forward=bfp8"
    expected = (("forward", "bfp8"), ("weight_gradient", "bfp16"))
    assert apply_format(eight, passes) == (CONFIG, expected)
    assert apply_format(CONFIG, "bfp8") == (CONFIG, None)
    assert apply_format(CONFIG, "fp32")[0] == eight.replace(format="fp32")
