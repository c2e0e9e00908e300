"""Random small networks of convolutions: the RTL's training step is the golden model's.

A few examples; more of them with EXAMPLES=500 pytest tests/soc/test_random_convolutions.py.
"""

import os
from math import prod

import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st

from eftrain_hw import AcceleratorConfig, nn
from sim.models.step_bench import CONFIGS, StepBench

pytestmark = pytest.mark.rtl

SIZES = (1, 3, 5, 7, 17, 31)
MOST_MACS = 150_000  # of a layer and a pass
ROOMY = {
    "8x8": AcceleratorConfig.preset("sim-small"),
    "6x8": CONFIGS["6x8-four-ports"],
    "4x4-fp32": CONFIGS["4x4-fp32-axi3"],
}


def pairs(values):
    """Mostly the same in both directions."""
    return st.one_of(values, values, st.tuples(values, values))


@st.composite
def convolutions(draw, shape):
    """A layer that takes maps of `shape`."""
    channels = shape[0]
    groups = draw(st.sampled_from([1, 1, *(g for g in range(1, channels + 1) if not channels % g)]))
    outputs = groups * draw(st.sampled_from([n for n in (1, 2, 3, 8, 17) if n * groups < 40]))
    dilation = draw(pairs(st.sampled_from((1, 1, 1, 2, 3))))
    transposed = draw(st.integers(0, 3)) == 0
    kernel = draw(pairs(st.sampled_from((1, 2, 3, 3, 5) if transposed else (1, 2, 3, 3, 4, 5, 11))))
    stride = draw(pairs(st.sampled_from((1, 1, 2, 3, 4))))
    both = [v if isinstance(v, tuple) else (v, v) for v in (kernel, dilation, stride)]
    spans = [d * (k - 1) + 1 for k, d in zip(both[0], both[1], strict=True)]
    padding = tuple(draw(st.integers(0, span - 1)) for span in spans)
    common = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    if transposed:
        common["output_padding"] = tuple(draw(st.integers(0, s - 1)) for s in both[2])
    kept = ("weight", "bias") if common["bias"] else ("weight",)
    common["requires_grad"] = draw(st.sampled_from((True, True, True, *((k,) for k in kept))))
    make = nn.ConvTranspose2d if transposed else nn.Conv2d
    return make(channels, outputs, kernel, **common)


@st.composite
def networks(draw):
    """Up to three convolutions and a Linear layer."""
    first = draw(st.sampled_from(SIZES[:5]))
    shape = first, draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES[:5]))
    layers, input_shape = [], shape
    for _ in range(draw(st.integers(1, 3))):
        layer = draw(convolutions(shape))
        try:
            out = layer.output_shape(shape)
        except ValueError:  # a kernel larger than its map
            continue
        if prod(out) > 1500 or prod(layer.parameters()["weight"]) * prod(out[1:]) > MOST_MACS:
            continue
        layers.append(layer)
        shape = out
        if draw(st.booleans()):
            layers.append(nn.ReLU())
    layers += [nn.Flatten(), nn.Linear(prod(shape), draw(st.sampled_from((2, 9))))]
    return nn.Sequential(*layers, input_shape=input_shape)


@settings(
    max_examples=int(os.environ.get("EXAMPLES", 8)),
    suppress_health_check=list(HealthCheck),
)
@given(network=networks(), batch=st.integers(1, 9), config=st.sampled_from(sorted(ROOMY)))
def test_training_step_equals_golden(network, batch, config):
    try:
        bench = StepBench(network, ROOMY[config], batch, seed=batch)
    except ValueError as error:
        assert "can't hold one tile" in str(error)
        reject()
    event(f"{len(list(network))} layers")
    bench.step()
    bench.device.close()
