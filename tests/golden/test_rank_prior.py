"""Rank adaptation and stochastic rounding, number by number and as a whole."""

import dataclasses
import re

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.precision import Precision
from eftrain_hw.compiler.rank_prior import RankPrior, compacted, ranks_kept
from eftrain_hw.compiler.state import device_state, network_state
from eftrain_hw.formats import encode_narrow
from eftrain_hw.golden import rank_prior, stochastic
from eftrain_hw.golden.activation import layer_seed
from eftrain_hw.golden.network import forward_pass, training_step

LANES = 4
CONFIG = AcceleratorConfig.preset("sim-small").replace(lanes=LANES)
UNIT = 2.0**-14


def jenkins(a):
    """The hash of docs/vector-processor.md."""
    a = (a + 0x7ED55D16 + (a << 12)) & 0xFFFFFFFF
    a = (a ^ 0xC761C23C) ^ (a >> 19)
    a = (a + 0x165667B1 + (a << 5)) & 0xFFFFFFFF
    a = ((a + 0xD3A2646C) ^ (a << 9)) & 0xFFFFFFFF
    a = (a + 0xFD7046C5 + (a << 3)) & 0xFFFFFFFF
    return ((a ^ 0xB55A4F09) ^ (a >> 16)) & 0xFFFFFFFF


# -- stochastic rounding


def test_rounding_follows_the_rule(scalar, same_bits):
    rng = np.random.default_rng(5)
    w = (rng.standard_normal((6, LANES)) * 0.3).astype(np.float32)
    w[0] = [1.99999, -1.99999, 7.0, -7.0]
    w[1] = [0.0, -0.0, 3 * UNIT, -3 * UNIT]
    seed = stochastic.update_seed(9, 4, 2)
    chain = 0
    for part in (9, 4, 65536 + 2):
        chain = jenkins((chain + part) & 0xFFFFFFFF)
    assert seed == chain
    expected = []
    for number, value in enumerate(w.reshape(-1).tolist()):
        u = (jenkins((seed + number) & 0xFFFFFFFF) >> 8) * 2.0**-24
        t = scalar.add(scalar.mac(value, 2.0**14, u), -0.5)
        q = scalar.add(scalar.add(t, 12582912.0), -12582912.0)
        expected.append(max(-32767.0, min(32767.0, q)) * UNIT)
    found = stochastic.round_master(w, seed)
    same_bits(np.abs(found).reshape(-1), np.abs(np.array(expected, np.float32)))
    assert (np.sign(found).reshape(-1) == np.sign(expected)).all()
    assert (found[1, 2:] == w[1, 2:]).all()  # what is representable stays


def test_rounding_has_no_bias():
    w = np.full((40000,), 0.3 * UNIT, np.float32)
    found = stochastic.round_master(w, 77) / UNIT
    assert set(np.unique(found)) == {0.0, 1.0}
    assert abs(found.mean() - 0.3) < 0.01
    assert not (found == stochastic.round_master(w, 78) / UNIT).all()


# -- the prior


def core(rng, modes, blocks, in_blocks, kernel):
    shape = (modes * blocks, in_blocks, kernel, 1, LANES, LANES)
    return rng.standard_normal(shape).astype(np.float32)


def test_squares_and_gradient_follow_the_rule(scalar, same_bits):
    rng = np.random.default_rng(1)
    modes, blocks, in_blocks, kernel = 3, 2, 2, 2
    w, g = core(rng, modes, blocks, in_blocks, kernel), core(rng, modes, blocks, in_blocks, kernel)
    out, into = np.zeros((blocks, LANES), "f4"), np.zeros((in_blocks, LANES), "f4")
    for mo, ib, k, one, i, o in np.ndindex(w.shape):
        square = scalar.multiply(*[float(w[mo, ib, k, one, i, o])] * 2)
        at = mo % blocks, o
        out[at] = scalar.add(float(out[at]), square)
        into[ib, i] = scalar.add(float(into[ib, i]), square)
    same_bits(rank_prior.slice_squares(w, blocks=blocks, side="out"), out)
    same_bits(rank_prior.slice_squares(w, blocks=in_blocks, side="in"), into)

    settings = {"count": 50, "shape": 0.5, "scale": 0.01}
    variance = rank_prior.variances(out, into, **settings)
    factor = float(np.float32(1 / 53))
    for at in np.ndindex(out.shape):
        total = scalar.add(scalar.add(float(out[at]), float(into[at])), float(np.float32(0.02)))
        assert float(variance[at]) == scalar.multiply(total, factor)

    found = rank_prior.prior_gradient(g, w, strength=0.3, outputs=variance, inputs=variance)
    for at in list(np.ndindex(w.shape))[::7]:
        mo, ib, _, _, i, o = at
        strength, value = float(np.float32(0.3)), float(w[at])
        first = scalar.divide(strength, float(variance[mo % blocks, o]))
        second = scalar.divide(strength, float(variance[ib, i]))
        expected = scalar.mac(value, second, scalar.mac(value, first, float(g[at])))
        assert float(found[at]) == expected
    same_bits(rank_prior.prior_gradient(g, w, strength=1.0), g)


def test_variance_is_where_the_posterior_is_largest():
    """The closed form against the derivative of the negative logarithm."""
    squares, count, shape, scale = 3.7, 40, 0.8, 0.2
    found = float(rank_prior.variances(np.float32([[squares]]), np.float32([[0]]),
                                       count=count, shape=shape, scale=scale)[0, 0])  # fmt: skip

    def energy(v):
        return squares / (2 * v) + count / 2 * np.log(v) + (shape + 1) * np.log(v) + scale / v

    assert energy(found) <= min(energy(found * 0.99), energy(found * 1.01))


def test_small_variances_lose_their_rank():
    variance = np.float32([[1.0, 0.1, 0.0999, 5.0]])
    mask = np.uint8([[1, 1, 1, 0]])
    assert rank_prior.surviving(variance, mask, 0.1).tolist() == [[1, 1, 0, 0]]
    assert rank_prior.surviving(variance * 0, mask, 0.1).tolist() == [[1, 1, 1, 0]]


# -- in a training step


def network():
    return nn.Sequential(
        nn.TTLinear(60, 48, (5, 3, 4), (4, 3, 4), rank=(6, 5)), nn.ReLU(),
        nn.TTLinear(48, 5, (4, 3, 4), (1, 1, 5), rank=(4, 7)), input_shape=(60,),
    )  # fmt: skip


class Training:
    def __init__(self, net, state=None, **settings):
        self.rng = np.random.default_rng(0)
        self.program = prepare(net, CONFIG, batch_size=8, loss=nn.CrossEntropyLoss(),
                               optimizer=optim.SGD(lr=0.1), **settings)  # fmt: skip
        if state is None:
            state = {
                name: (self.rng.standard_normal(shape) * 0.4).astype(np.float32)
                for name, shape in net.parameters().items()
            }
        self.tensors = device_state(self.program, state)
        self.x = self.rng.standard_normal((8, 60)).astype(np.float32)
        self.tensors["x"] = self.program.encode_input(self.x)
        labels = np.zeros(self.program.tensors["labels"].shape, np.uint32)
        labels[:8] = self.rng.integers(0, 5, 8)
        self.tensors["labels"] = labels

    def step(self, number):
        training_step(self.program, self.tensors, learning_rate=0.1, momentum=0.0,
                      valid_images=8, number=number, seed=3)  # fmt: skip
        return float(self.tensors["loss"][-16])

    def state(self):
        return network_state(self.program, self.tensors)

    def logits(self):
        forward_pass(self.program, self.tensors)
        return self.tensors[self.program.logits].reshape(8, -1)[:, :5]


NARROW = Precision(weights=4, activations=8, gradients=16, master=16)


@pytest.mark.parametrize("precision", [NARROW, Precision(weights=3, gradients=8, master=32),
                                       Precision(weights=8, activations=16)])  # fmt: skip
def test_tensors_have_their_widths(precision):
    training = Training(network(), precision=precision)
    losses = [training.step(number) for number in range(1, 25)]
    assert losses[-1] < 0.7 * losses[0]
    tensors = training.tensors
    for name, spec in training.program.tensors.items():
        if spec.kind == "weight" and ".cores." in name:
            assert (tensors[name].elements % (1 << (8 - precision.weights)) == 0).all()
            expected = encode_narrow(tensors[f"{name}.master"], precision.weights)
            np.testing.assert_array_equal(tensors[name].elements, expected.elements)
        if spec.kind == "master" and precision.master == 16:
            units = tensors[name] / UNIT
            assert (units == np.rint(units)).all() and np.abs(units).max() <= 32767
        if spec.storage == "blocked" and spec.kind in ("activation", "gradient"):
            expected = precision.format_of(f"{spec.kind}s")
            assert tensors[name].format.name == expected == spec.format, name


def test_gradient_of_the_prior_is_added():
    """One step with and without it, wide masters: what differs is lr * strength * w / variance."""
    wide = Precision(weights=8, master=32, gradients=16)
    plain, shrunk = (Training(network(), precision=wide, prior=prior)
                     for prior in (None, RankPrior(strength=0.01, threshold=0.0)))  # fmt: skip
    before = plain.state()
    plain.step(1)
    shrunk.step(1)
    bonds = {bond.index: bond for bond in shrunk.program.bonds if bond.layer == "0"}
    variance = [shrunk.tensors[bonds[k].variance].reshape(-1)[: bonds[k].rank] for k in (0, 1)]
    cores = [before[f"0.cores.{k}"].astype(np.float64) for k in range(3)]
    for k, found in enumerate(variance):  # from the definition
        squares = (cores[k] ** 2).sum((0, 1, 2)) + (cores[k + 1] ** 2).sum((1, 2, 3))
        count = (cores[k].size + cores[k + 1].size) / len(found)
        np.testing.assert_allclose(found, (squares + 2e-4) / (count + 2), rtol=1e-5)
    factor = 1 / variance[0][:, None, None, None] + 1 / variance[1]
    expected = -0.1 * 0.01 * cores[1] * factor
    difference = shrunk.state()["0.cores.1"] - plain.state()["0.cores.1"]
    np.testing.assert_allclose(difference, expected, rtol=2e-3, atol=2e-7)
    np.testing.assert_array_equal(shrunk.state()["0.bias"], plain.state()["0.bias"])


@pytest.mark.parametrize("precision", [NARROW, None])
def test_ranks_are_masked_at_once_and_compacted_later(precision):
    net = network()
    state = Training(net).state()
    state["0.cores.0"][..., 2] *= 0.001  # a rank that nobody needs
    state["0.cores.1"][2] *= 0.001
    state["2.cores.1"][..., [0, 6]] *= 0.001
    state["2.cores.2"][[0, 6]] *= 0.001
    prior = RankPrior(strength=1e-4, threshold=0.05, interval=3)
    training = Training(net, state, precision=precision, prior=prior)
    training.step(1)
    kept = ranks_kept(training.program, training.tensors)
    assert kept["0"][0].tolist() == [0, 1, 3, 4, 5] and kept["2"][1].tolist() == [1, 2, 3, 4, 5]
    trained = training.state()
    assert not trained["0.cores.0"][..., 2].any() and not trained["0.cores.1"][2].any()
    smaller, rest = compacted(net, trained, kept)
    assert smaller.nodes[0].layer.rank == (5, 5) and smaller.nodes[2].layer.rank == (4, 5)
    again = Training(smaller, rest, precision=precision)
    again.tensors["x"] = training.tensors["x"]
    # other blocks of ranks have other exponents, so only nearly the same
    np.testing.assert_allclose(again.logits(), training.logits(), rtol=0.4, atol=0.3)
    if precision is None:
        np.testing.assert_allclose(again.logits(), training.logits(), rtol=0.1, atol=0.1)


def test_variances_wait_for_their_turn():
    training = Training(network(), prior=RankPrior(strength=1e-3, interval=3))
    name, seen = training.program.bonds[0].variance, []
    for number in range(1, 8):
        training.step(number)
        seen.append(training.tensors[name].copy())
    changes = [not np.array_equal(a, b) for a, b in zip(seen, seen[1:])]
    assert changes == [False, False, True, False, False, True]


def test_nothing_left_is_refused():
    training = Training(network(), prior=RankPrior(strength=1e-3))
    bond = training.program.bonds[1]
    training.tensors[bond.mask] = np.zeros_like(training.tensors[bond.mask])
    message = "layer 0: rank adaptation has removed all 5 ranks between cores 2 and 3"
    with pytest.raises(ValueError, match=re.escape(message)):
        ranks_kept(training.program, training.tensors)


@pytest.mark.parametrize(("name", "value", "rule"), [
    ("strength", 0, "greater than 0"), ("scale", -1.0, "greater than 0"),
    ("shape", -0.5, "0 or more"), ("threshold", 1, "less than 1"), ("interval", 0, "1 or more"),
])  # fmt: skip
def test_prior_refuses(name, value, rule):
    with pytest.raises(ValueError, match=re.escape(f"RankPrior.{name} must be {rule}, not")):
        dataclasses.replace(RankPrior(strength=1.0), **{name: value})


def test_dense_networks_have_no_ranks():
    net = nn.Sequential(nn.Linear(60, 5), input_shape=(60,))
    with pytest.raises(ValueError, match="prior must be None for a network without tensor-train"):
        Training(net, prior=RankPrior(strength=1.0))


def test_seeds_of_updates_are_no_layers():
    assert stochastic.update_seed(1, 2, 0) == layer_seed(1, 2, 65536)
