"""The NumPy machine of vector programs against the golden model and plain formulas."""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.formats import format_named
from eftrain_hw.golden import sgd
from eftrain_hw.sequencer.program_format import LOOPS, Command, Descriptor
from eftrain_hw.vector.commands import PROCESS
from sim.models.machine import Machine
from sim.models.vector_examples import EXAMPLES
from sim.models.vector_machine import VectorMachine, hash32
from sim.models.vector_memory import place

CONFIG = AcceleratorConfig(lanes=8, format="fp32")
LANES = CONFIG.lanes


class Run:
    """An example's memory before and after."""

    def __init__(self, name, config=CONFIG, scalars=None, **inputs):
        self.config, self.program = config, EXAMPLES[name](config.lanes)
        count = 2 if self.program.outer else 1
        rng = np.random.default_rng(5)
        self.before, self.fields = place(self.program, config, rng, count=count)
        if scalars is not None:
            at = self.fields["scalars"] * 64
            self.before[at : at + 4 * len(scalars)] = np.float32(scalars).view(np.uint8)
        self.after = self.before.copy()
        VectorMachine(config, self.after).run(**inputs, **self.fields)

    def get(self, name, count, *, after=False, kind=np.float32):
        memory = self.after if after else self.before
        at = self.fields[name] * 64
        size = count * self.config.lanes * np.dtype(kind).itemsize
        return memory[at : at + size].view(kind).reshape(count, self.config.lanes)


def close(got, want, tolerance=1e-5):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("format", ["fp32", "bfp8"])
def test_sgd_equals_the_golden_model(format):
    config = CONFIG.replace(format=format)
    run = Run("sgd", config, learning_rate=0.05, momentum=0.9)
    v, g, w = (run.get(name, 40) for name in "abc")
    want_w, want_v, copy = sgd(w, v, g, lr=0.05, momentum=0.9, format=format_named(format))
    np.testing.assert_array_equal(run.get("w0", 40, after=True), want_w)
    np.testing.assert_array_equal(run.get("w1", 40, after=True), want_v)
    kind = copy.elements.dtype
    np.testing.assert_array_equal(run.get("e", 40, after=True, kind=kind), copy.elements)


def test_residual_add():
    run = Run("residual_add")
    want = np.maximum(run.get("a", 40) + run.get("b", 40), 0)
    np.testing.assert_array_equal(run.get("e", 40, after=True), want)


def test_batch_norm():
    """Statistics are of the valid images; the rest is zero."""
    run = Run("batch_norm", scalars=[1 / 18], valid_images=2)
    for block in range(2):
        x = run.get("a", 54).reshape(2, 3, 9, LANES)[block]
        gamma, beta = run.get("b", 4).reshape(2, 2, LANES)[block]
        mean, variance = x[:2].mean((0, 1)), x[:2].var((0, 1))
        want = np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)
        want[2] = 0
        close(run.get("e", 54, after=True).reshape(2, 3, 9, LANES)[block], want)


def test_max_pool_and_its_backward_phase():
    run = Run("max_pool")
    x = run.get("a", 84).reshape(2, 7, 6, LANES)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
    windows = windows.reshape(2, 4, 3, LANES, 9)
    np.testing.assert_array_equal(
        run.get("e", 24, after=True).reshape(2, 4, 3, LANES), windows.max(-1)
    )
    places = run.get("w1", 24, after=True, kind=np.uint8).reshape(2, 4, 3, LANES)
    np.testing.assert_array_equal(places, windows.argmax(-1))

    back = Run("max_pool_backward")
    dy = back.get("a", 24).reshape(2, 4, 3, LANES)
    places = back.get("b", 24, kind=np.uint8).reshape(2, 4, 3, LANES)
    want = np.zeros((2, 9, 8, LANES))
    for place_ in range(9):
        kr, kc = divmod(place_, 3)
        want[:, kr : kr + 8 : 2, kc : kc + 6 : 2] += np.where(places == place_, dy, 0)
    got = back.get("e", 84, after=True).reshape(2, 7, 6, LANES)
    close(got[:, 1::2, 1::2], want[:, 1:8, 1:7][:, 1::2, 1::2])


def test_sigmoid():
    run = Run("sigmoid")
    x = run.get("a", 16).astype(float)
    close(run.get("w0", 16, after=True), 1 / (1 + np.exp(-x)), 1e-6)


def test_leaky_relu():
    run = Run("leaky_relu")
    a, b = run.get("a", 10), run.get("b", 10)
    slope = np.float32(0.01)
    np.testing.assert_array_equal(run.get("e", 10, after=True), np.where(a > 0, a, a * slope))
    np.testing.assert_array_equal(run.get("w0", 10, after=True), np.where(b > 0, a, a * slope))


def test_dropout():
    run = Run("dropout", scalars=[0, 0, 7.5])
    seed = int(np.float32(7.5).view(np.uint32))
    u = (hash32(seed + np.arange(128)) >> 8).reshape(16, 8) * 2.0**-24
    close(run.get("w0", 16, after=True), u, 0)
    close(run.get("e", 16, after=True), np.where(u >= 0.25, run.get("a", 16) * 4 / 3, 0))
    assert hash32(0) == 0x6B4ED927  # by Jenkins' function in C


def test_squared_error():
    run = Run("squared_error", scalars=[0.125], valid_images=2)
    difference = run.get("a", 15) - run.get("b", 15)
    difference[10:] = 0
    close(run.get("e", 15, after=True), difference * 0.125)
    total = (difference.astype(float) ** 2).sum()
    close(run.get("w0", 1, after=True)[0, -1], total)
    close(run.get("w1", 1, after=True), total / 8)


def test_global_average():
    run = Run("global_average")
    close(run.get("e", 6, after=True), run.get("a", 120).reshape(6, 20, LANES).mean(1))


def test_optimizers():
    scalars, rates = [0.01, 0.5], {"learning_rate": 0.125, "momentum": 0.75}
    run = Run("nesterov", scalars=scalars, **rates)
    v, g, w = (run.get(name, 16).astype(float) for name in "abc")
    g = g + 0.01 * w
    v = 0.75 * v + g
    close(run.get("w1", 16, after=True), v)
    close(run.get("w0", 16, after=True), w - 0.125 * (g + 0.75 * v))
    run = Run("adam_moments")
    g, m, v = (run.get(name, 16).astype(float) for name in "abc")
    close(run.get("w0", 16, after=True), 0.9 * m + 0.1 * g)
    close(run.get("w1", 16, after=True), 0.999 * v + 0.001 * g * g)
    run = Run("adam_update", scalars=[-0.01, 1.5])
    m, v, w = (run.get(name, 16).astype(float) for name in "abc")
    root = np.sqrt(np.maximum(1.5 * v, 0)) + 1e-8
    close(run.get("w0", 16, after=True), w - 0.01 * m / root)


def test_refuses_what_is_no_program():
    program = EXAMPLES["sgd"](LANES)
    memory, fields = place(program, CONFIG, np.random.default_rng(1))
    memory[fields["program"] * 64 + 20] ^= 1
    with pytest.raises(ValueError, match="bad vector program"):
        VectorMachine(CONFIG, memory).run(**fields)


def test_runs_from_a_layer_program():
    run = Run("sgd", learning_rate=0.125, momentum=0.5, valid_images=4, inverse_images=0.25)
    words = Descriptor(1, [1] * LOOPS, [Command(PROCESS, run.fields)], last=True).words()
    memory = run.before.copy()
    Machine(CONFIG, memory).run(words, learning_rate=0.125, momentum=0.5, valid_images=4)
    np.testing.assert_array_equal(memory, run.after)
