"""Tensor-train layers: conversion, refusals, and what they are lowered to."""

import re
from itertools import permutations
from math import prod

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.compiler.chain import FeatureBiasOp, TTStepOp
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.lowering.tensor_train import _price, contraction_orders
from eftrain_hw.compiler.state import device_state, network_state
from eftrain_hw.compiler.tensor_train import (
    dense_weight,
    exact_ranks,
    from_dense,
    rounded,
    tt_round,
    tt_svd,
    tt_to_dense,
)

CONFIG = AcceleratorConfig.preset("sim-small").replace(lanes=4)
SHAPES = [((2, 3, 4), (5, 2, 3)), ((4, 4, 8, 4), (7, 4, 7, 4)), ((1, 10), (32, 16))]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def prepared(network, batch=3):
    settings = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(lr=0.1)}
    return prepare(network, CONFIG, batch_size=batch, **settings)


# -- conversion


@pytest.mark.parametrize(("out_shape", "in_shape"), [SHAPES[0], SHAPES[2]])
def test_svd_of_full_rank_is_exact(out_shape, in_shape):
    weight = random(prod(out_shape), prod(in_shape))
    cores = tt_svd(weight, out_shape, in_shape)
    assert tuple(core.shape[3] for core in cores[:-1]) == exact_ranks(out_shape, in_shape)
    np.testing.assert_allclose(tt_to_dense(cores), weight, atol=1e-6)


def test_dense_matrix_is_the_sum_over_ranks():
    """Element by element, from the definition."""
    layer = nn.TTLinear(6, 20, (3, 2), (4, 5), rank=3)
    first, second = cores = [random(*shape, seed=k) for k, shape in enumerate(layer.core_shapes())]
    dense = tt_to_dense(cores)
    for m1, m2, n1, n2 in np.ndindex(4, 5, 3, 2):
        expected = sum(first[0, m1, n1, r] * second[r, m2, n2, 0] for r in range(3))
        assert dense[m1 * 5 + m2, n1 * 2 + n2] == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("tolerance", [0.02, 0.3, 0.8])
@pytest.mark.parametrize("shapes", SHAPES[:1])
def test_error_keeps_to_the_tolerance(shapes, tolerance):
    weight = random(prod(shapes[0]), prod(shapes[1]))
    full = tt_svd(weight, *shapes)
    for cores in (tt_svd(weight, *shapes, tolerance=tolerance),
                  tt_round(full, tolerance=tolerance)):  # fmt: skip
        error = np.linalg.norm(tt_to_dense(cores) - weight) / np.linalg.norm(weight)
        assert error <= tolerance * (1 + 1e-6)
    if tolerance > 0.1:
        assert sum(c.size for c in cores) < sum(c.size for c in full)


def test_rounding_finds_the_rank_that_is_there():
    """Ranks added by zeros and by copies go again; truncation is as good as that of the matrix."""
    cores = [random(1, 4, 7, 2), random(2, 4, 4, 3, seed=1), random(3, 8, 7, 1, seed=2)]
    wide = [np.concatenate([cores[0], cores[0]], 3), np.concatenate([cores[1], cores[1]], 0) / 2]
    wide = [*wide, cores[2]]
    found = tt_round(wide)
    assert [core.shape[3] for core in found] == [2, 3, 1]
    np.testing.assert_allclose(tt_to_dense(found), tt_to_dense(cores), rtol=1e-4, atol=1e-4)
    assert [core.shape[3] for core in tt_round(wide, rank=(1, 2))] == [1, 2, 1]


@pytest.mark.parametrize("layer", [
    nn.TTLinear(30, 24, (5, 2, 3), (2, 3, 4), rank=(10, 12)),
    nn.TTConv2d(12, 8, (3, 2), (3, 4), (4, 2), rank=12),
    nn.TTConv2d(12, 12, 3, (3, 2, 2), (2, 3, 2), rank=(6, 36), padding=1),
])  # fmt: skip
def test_layers_convert_both_ways(layer):
    kernel = getattr(layer, "kernel_size", ())
    weight = random(prod(layer.out_shape), prod(layer.in_shape), *kernel)
    found, state = from_dense(layer, weight)
    assert {name: v.shape for name, v in state.items()} == {
        name: shape for name, shape in found.parameters().items() if name != "bias"
    }
    np.testing.assert_allclose(dense_weight(found, state), weight, atol=2e-6)
    smaller, state = rounded(found, state, rank=2)
    assert max(smaller.rank) == 2
    assert dense_weight(smaller, state).shape == weight.shape


@pytest.mark.parametrize(("call", "message"), [
    (lambda: tt_svd(random(6, 6), (2, 3), (2, 4)), "weight must have shape (6, 8)"),
    (lambda: tt_svd(random(6, 6), (2, 3), (2, 3), rank=0), "rank must be 1 or more"),
    (lambda: tt_svd(random(6, 6), (2, 3), (2, 3), tolerance=1), "tolerance must be at least 0"),
    (lambda: tt_svd(random(6, 6) * np.nan, (2, 3), (2, 3)), "weight must be finite"),
    (lambda: tt_to_dense([random(1, 2, 2, 3), random(2, 2, 2, 1)]), "equal ranks where they meet"),
    (lambda: tt_round([random(1, 2, 2, 1)]), "cores must be two or more"),
])  # fmt: skip
def test_conversion_refuses(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# -- descriptions


def tt(**changes):
    settings = {"in_shape": (7, 4, 7, 4), "out_shape": (4, 4, 8, 4)} | changes
    return nn.TTLinear(784, 512, **settings)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: tt(in_shape=(7, 4, 7, 5)), ValueError,
     "TTLinear.in_shape must be factors of in_features 784, not (7, 4, 7, 5), whose product is"
     " 980"),
    (lambda: tt(out_shape=(4, 16, 8)), ValueError,
     "TTLinear.in_shape and out_shape must have as many factors, not (7, 4, 7, 4) and (4, 16, 8)"),
    (lambda: tt(rank=17), ValueError,
     "TTLinear.rank must be at most (28, 448, 16), the exact ranks of (7, 4, 7, 4) to"
     " (4, 4, 8, 4), not 17"),
    (lambda: tt(rank=(4, 0, 4)), ValueError,
     "TTLinear.rank must be at least 1 everywhere, not 0 between cores 2 and 3 ((4, 0, 4))"),
    (lambda: tt(rank=(4, 4)), ValueError, "TTLinear.rank must be one integer or 3"),
    (lambda: tt(rank=1.5), TypeError, "TTLinear.rank must be an integer or 3 of them, not 1.5"),
    (lambda: tt(in_shape=(784,)), ValueError, "TTLinear.in_shape must be two factors or more"),
    (lambda: tt(in_shape=784), TypeError, "TTLinear.in_shape must be integers, not 784"),
    (lambda: tt(requires_grad=("cores.4",)), ValueError, "TTLinear.requires_grad must name some"),
    (lambda: nn.TTConv2d(12, 8, 3, (3, 4), (4, 2), rank=13), ValueError,
     "TTConv2d.rank must be at most (12,)"),
    (lambda: nn.TTConv2d(12, 8, 3, (3, 4), (4, 2), rank=2, padding=3), ValueError,
     "TTConv2d.padding must be less than the kernel (3, 3), not (3, 3)"),
    (lambda: nn.Sequential(tt(), input_shape=(1, 28, 28)), ValueError,
     "layer 0 (TTLinear): input must be (784,), not (1, 28, 28); put Flatten before it"),
])  # fmt: skip
def test_description_is_refused(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_descriptions_survive():
    network = nn.Sequential(
        nn.TTConv2d(8, 8, 3, (2, 4), (4, 2), rank=3), nn.Flatten(),
        nn.TTLinear(8 * 36, 4, (8, 36), (1, 4), rank=2, bias=False), input_shape=(8, 8, 8),
    )  # fmt: skip
    assert nn.described(nn.describe(network)) == network
    frozen = nn.freeze(network, "0.cores.1", "2")
    assert frozen.trained() == ("0.cores.0", "0.bias")


# -- lowering


def test_device_refuses_by_name():
    network = nn.Sequential(nn.TTLinear(12, 6, (3, 4), (1, 6), rank=2), input_shape=(12,))
    with pytest.raises(ValueError, match="0.TTLinear bias: FeatureBias needs vector prog"):
        compile_network(network, CONFIG, batch_size=2, loss=nn.CrossEntropyLoss(),
                        optimizer=optim.SGD(lr=0.1))  # fmt: skip


@pytest.mark.parametrize(("layers", "message"), [
    ([nn.Linear(84, 24), nn.TTLinear(24, 4, (6, 4, 1), (1, 1, 4), rank=1)],
     "layer 1 (TTLinear): in_shape must begin with 24, the factor whose index lies on the lanes of"
     " its input, not (6, 4, 1)"),
    ([nn.TTLinear(84, 6, (7, 12), (3, 2), rank=1)],
     "layer 0 (TTLinear): the first or the last factor of out_shape must be all 6 outputs of the"
     " network, not (3, 2)"),
    ([nn.TTLinear(84, 30, (7, 12), (6, 5), rank=1), nn.TTLinear(30, 3, (10, 3), (3, 1), rank=1)],
     "layer 1 (TTLinear): in_shape must"),
])  # fmt: skip
def test_layout_is_refused(layers, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        prepared(nn.Sequential(*layers, input_shape=(84,)))


def test_convolution_needs_its_lanes():
    layer = nn.TTConv2d(12, 8, 1, (6, 2), (4, 2), rank=1)
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(32, 2), input_shape=(12, 2, 2))
    with pytest.raises(ValueError, match="in_shape must end with a multiple of the 4 lanes"):
        prepared(network)


@pytest.mark.parametrize("shape", [(84,), (7, 4, 3)])
def test_parameters_reach_the_device_and_come_back(shape):
    flatten = [nn.Flatten()] if len(shape) == 3 else []
    network = nn.Sequential(
        *flatten, nn.TTLinear(84, 24, (7, 4, 3), (2, 3, 4), rank=(3, 5)), nn.ReLU(),
        nn.TTLinear(24, 5, (2, 3, 4), (5, 1, 1), rank=(6, 3)), input_shape=shape,
    )  # fmt: skip
    program = prepared(network)
    state = {name: random(*s, seed=k) for k, (name, s) in enumerate(network.parameters().items())}
    tensors = device_state(program, state)
    for name, spec in program.tensors.items():
        if name in tensors and spec.storage == "fp32":
            assert tensors[name].shape == tuple(spec.shape), name
    found = network_state(program, tensors)
    for name, values in state.items():
        np.testing.assert_array_equal(found[name], values)


def test_steps_never_form_the_matrix():
    """The issue's layer: what is stored is far smaller than 784 x 512, and bias rides behind."""
    network = nn.Sequential(tt(), nn.ReLU(), nn.Linear(512, 10), input_shape=(784,))
    program = prepared(network, batch=1)
    steps = [op for op in program.ops if isinstance(op, TTStepOp)]
    assert [op.core for op in steps] == ["0", "1", "2", "3"]
    assert isinstance(program.ops[4], FeatureBiasOp) and program.ops[4].relu
    own = [spec for name, spec in program.tensors.items() if not name.startswith("2.")]
    assert max(prod(spec.shape) for spec in own) < 784 * 512 / 10
    for before, after in zip(steps, steps[1:]):
        stored = prod(before.out_shape[1:])
        assert stored == prod(after.conv_in[1:]) and before.view.pixels == stored


def chain_macs(layer, reverse):
    """Multiplications of a chain, counted from the shapes alone."""
    m, n, r = layer.out_shape, layer.in_shape, (1, *layer.rank, 1)
    total = 0
    for k in range(len(m)):
        spectators = prod(n[:k] + m[k + 1 :]) if reverse else prod(m[:k] + n[k + 1 :])
        total += spectators * m[k] * n[k] * r[k] * r[k + 1]
    return total


def other_orders_macs(layer):
    """Multiplications of the cheapest order that starts or goes on in the middle."""
    m, n, r = layer.out_shape, layer.in_shape, (1, *layer.rank, 1)
    d, best = len(m), None
    for order in permutations(range(d)):
        if order in (tuple(range(d)), tuple(range(d - 1, -1, -1))):
            continue
        total, done = 0, set()
        for k in order:
            left = prod(m[j] if j in done else n[j] for j in range(d) if j != k)
            after = done | {k}
            cost = left * m[k] * n[k]
            for bond in range(1, d):  # ranks open before or after this core
                open_before = (bond - 1 in done) != (bond in done)
                open_after = (bond - 1 in after) != (bond in after)
                cost *= r[bond] if open_before or open_after else 1
            total, done = total + cost, after
        best = total if best is None else min(best, total)
    return best


@pytest.mark.parametrize("rank", [2, 8, 16])
def test_the_cheaper_order_comes_first(rank):
    layer = tt(rank=rank)
    network = nn.Sequential(layer, nn.ReLU(), nn.Linear(512, 10), input_shape=(784,))
    for lanes in (4, 8, 16):
        config = CONFIG.replace(rows=lanes, lanes=lanes)
        orders = [order["0"] for order in contraction_orders(network, config, 8)]
        prices = [_price(layer, order, lanes, 8) for order in orders]
        assert sorted(orders) == [False, True] and prices == sorted(prices)
    assert chain_macs(layer, False) < chain_macs(layer, True) and orders[0] is False
    assert chain_macs(layer, False) < other_orders_macs(layer)


def test_price_counts_whole_blocks():
    """With ranks and factors of whole blocks the array's multiplications are the needed ones."""
    layer = nn.TTLinear(64, 64, (4, 4, 4), (4, 4, 4), rank=4)
    for reverse in (False, True):
        assert _price(layer, reverse, 4, 3)[0] == 3 * chain_macs(layer, reverse)
