"""Softmax cross-entropy against the golden model, through the vector unit's ports."""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.formats import BFP16, Blocked, format_named
from eftrain_hw.golden import cross_entropy
from eftrain_hw.golden.loss import class_targets
from eftrain_hw.vector.commands import LOSS
from eftrain_hw.vector.loss_program import PROGRAM

LOGITS, LABELS, GRADIENT, EXPONENTS, LOSSES = 0, 0x8000, 0xA000, 0xE000, 0xF000


def start(
    bench, config, *, images, classes, valid, spread=4.0, blocks=None, logits=None, smoothing=0.0,
    low=0, seed=None,
):  # fmt: skip
    """Put a batch into memory and queue the command; returns what it should make."""
    blocks = blocks or -(-classes // config.lanes)
    rng = bench.rng if seed is None else np.random.default_rng(seed)
    if logits is None:
        logits = rng.standard_normal((images, blocks, 1, 1, config.lanes)) * spread
    logits = logits.astype(np.float32)
    labels = rng.integers(0, classes, images).astype(np.uint32)
    bench.store(LOGITS, logits)
    bench.store(LABELS, labels)
    scale = np.float32(1 / max(1, valid))
    bench.set("inverse_images", scale)
    bench.set("valid_images", valid)
    targets = class_targets(smoothing, classes)
    for name, target in zip(("label_target", "other_target"), targets, strict=True):
        bench.set(name, target)
    bench.command(
        LOSS, logits=LOGITS // 64, labels=LABELS // 64, gradient=GRADIENT // 64,
        gradient_exponents=EXPONENTS // 64, losses=LOSSES // 64, images=images, classes=classes,
        blocks=blocks, low=low,
    )  # fmt: skip
    return cross_entropy(
        logits, labels, classes=classes, valid=valid, inv_n=scale,
        format=format_named("bfp16" if config.bfp16 else config.format),
        label_smoothing=smoothing,
    )  # fmt: skip


def check(bench, images, expected):
    losses, loss, gradient = expected
    got = bench.fetch(LOSSES, losses)
    np.testing.assert_array_equal(got.view(np.uint32), losses.view(np.uint32))
    batch = LOSSES + -(-images * 4 // 64) * 64
    np.testing.assert_array_equal(bench.fetch(batch, np.float32([0])), np.float32([loss]))
    elements = bench.fetch(GRADIENT, gradient.elements)
    np.testing.assert_array_equal(elements.view(np.uint8), gradient.elements.view(np.uint8))
    if gradient.exponents is not None:
        np.testing.assert_array_equal(
            bench.fetch(EXPONENTS, gradient.exponents), gradient.exponents
        )
    bench.assert_nothing_else_written()


@pytest.mark.parametrize("stall, options, cases", [
    # images, classes, valid images, spread of the logits
    (0.0, dict(lanes=16), [(5, 10, 4, 50.0)]),  # exponentials of 0, an image that doesn't count
    (0.5, dict(lanes=4), [(7, 10, 6, 4.0)]),  # two groups
    (0.5, dict(lanes=8, ports=1), [(2, 33, 2, 0.01)]),  # a group an image
    (0.5, dict(lanes=4, format="fp32", ports=1), [(3, 2, 0, 1.0), (1, 1, 1, 1.0), (2, 5, 2, 9.0)]),
], ids=str)  # fmt: skip
def test_equals_the_golden_model(make_unit, options, stall, cases):
    config = AcceleratorConfig(drain_lanes=4, loss_words=64, **options)
    bench = make_unit(config, stall=stall)

    def script():
        for images, classes, valid, spread in cases:
            expected = start(
                bench, config, images=images, classes=classes, valid=valid, spread=spread
            )
            yield
            check(bench, images, expected)

    bench.play(script())


@pytest.mark.parametrize("options, cases", [
    # images, classes, valid images, spread of the logits, smoothing
    (dict(lanes=4), [(7, 10, 6, 4.0, 0.1), (7, 10, 7, 4.0, 0.0), (3, 5, 3, 50.0, 1.0)]),
    (dict(lanes=8, ports=1), [(2, 33, 2, 1.0, 0.3), (1, 1, 1, 1.0, 0.5), (35, 1, 33, 1.0, 0.9)]),
    (dict(lanes=4, format="fp32", ports=1), [(3, 2, 0, 1.0, 0.2), (5, 3, 4, 9.0, 1e-38)]),
], ids=str)  # fmt: skip
def test_label_smoothing_may_change_between_batches(make_unit, options, cases):
    config = AcceleratorConfig(drain_lanes=4, loss_words=64, **options)
    bench = make_unit(config, stall=0.5)

    def script():
        for images, classes, valid, spread, smoothing in cases:
            expected = start(
                bench, config, images=images, classes=classes, valid=valid, spread=spread,
                smoothing=smoothing,
            )  # fmt: skip
            yield
            check(bench, images, expected)

    bench.play(script())


def test_low_digits_of_the_gradient(make_unit):
    """The same command once more; losses are stored twice."""
    config = AcceleratorConfig(lanes=8, drain_lanes=4, loss_words=64, bfp16=True)
    bench = make_unit(config, stall=0.5)

    def script():
        for low in (0, 1):
            losses, loss, gradient = start(
                bench, config, images=5, classes=10, valid=4, low=low, seed=3
            )
            yield
            digits = BFP16.digits(gradient.elements)[low]
            exponents = None if low else gradient.exponents
            check(bench, 5, (losses, loss, Blocked(gradient.format, digits, exponents)))

    bench.play(script())


def test_special_logits(make_unit):
    config = AcceleratorConfig(lanes=4, drain_lanes=4, loss_words=64)
    bench = make_unit(config)
    rows = [
        [0.0, -0.0, 0.0, 0.0],
        [1e-42, -1e-42, 3.0, 3.0],
        [-np.inf, 5.0, -1000.0, 5.0],
        [np.nan, 1.0, 2.0, 3.0],
        [1.0, np.nan, 2.0, 3.0],
        [88.0, 1.0, 1.0001, 0.99999],
        [3e38, -3e38, 0.0, 1.0],
        [0.0, -86.9, -87.0, -87.1],
    ]
    logits = np.array(rows, np.float32).reshape(len(rows), 1, 1, 1, 4)

    def script():
        expected = start(bench, config, images=8, classes=4, valid=8, logits=logits)
        yield
        check(bench, 8, expected)

    bench.play(script())


def test_more_images_than_a_group(make_unit):
    config = AcceleratorConfig(lanes=4, drain_lanes=4, loss_words=256)
    bench = make_unit(config)

    def script():
        expected = start(bench, config, images=66, classes=2, valid=65)
        yield
        check(bench, 66, expected)

    bench.play(script())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cycles_of_a_batch(make_unit, smoothing):
    config = AcceleratorConfig(lanes=16)
    bench = make_unit(config)
    n, c, padded = 32, 3, 16
    start(bench, config, images=n, classes=c, valid=n, smoothing=smoothing)
    passes = 10 * n * c + 13 * n + 31 * n + bool(smoothing) * c * n
    assert passes + 2 * n * padded <= bench.finish() <= passes + 2 * n * padded + 250


def test_every_pass_names_known_things():
    sources = {"A", "K", "R", "Y", "T", "U", "D", "fraction", "power", "total", "target"}
    for step in PROGRAM:
        assert {step.a, step.b, step.c} - sources <= {step.b, step.c} and step.a in sources
        for operand in (step.b, step.c):
            assert operand in sources or isinstance(operand, float)
        assert step.b1 in (1.0, "a", "inverse_images") and isinstance(step.c1, float)
