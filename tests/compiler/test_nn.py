"""Descriptions of graphs: names, shapes, plain data, and refusals that name the layer."""

import re

import pytest

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.compiler.compile import prepare


def residual_graph():
    g = nn.Graph(input_shape=(3, 8, 8))
    y = g(nn.Conv2d(3, 3, 3, padding=1), g.input, name="stem.conv")
    y = g(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), y)
    y = g(nn.Add(), y, g.input)
    y = g(nn.Concat(), y, g.input, g(nn.MaxPool2d(3, 1, 1), g.input))
    return g.output(g(nn.Linear(576, 10), g(nn.Flatten(), y), name="head"))


def test_graph_has_torch_names():
    network = residual_graph()
    assert list(network.parameters()) == [
        "stem.conv.weight", "stem.conv.bias", "1.0.weight", "1.0.bias", "head.weight", "head.bias",
    ]  # fmt: skip
    assert list(network.buffers()) == ["1.0.running_mean", "1.0.running_var"]
    assert network.output_node.shape == (10,)
    assert [node.name for node in network.users("input")] == ["stem.conv", "2", "3", "4"]


def test_residual_adds_the_shortcut():
    body = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU())
    network = nn.Sequential(
        nn.Residual(body, nn.Conv2d(2, 4, 1)),
        nn.Residual(nn.Conv2d(4, 4, 1)),
        input_shape=(2, 5, 5),
    )
    assert [(node.name, node.inputs) for node in network.nodes] == [
        ("0.body.0", ("input",)),
        ("0.body.1", ("0.body.0",)),
        ("0.shortcut", ("input",)),
        ("0", ("0.body.1", "0.shortcut")),
        ("1.body", ("0",)),
        ("1", ("1.body", "0")),
    ]
    assert network.shapes() == [(2, 5, 5), (4, 5, 5), (4, 5, 5)]


def test_plain_data_and_back():
    network = nn.Sequential(
        nn.Conv2d(3, 6, (3, 1), dilation=2, groups=3, requires_grad=("weight",)),
        nn.Sequential(nn.BatchNorm2d(6, affine=False), nn.LeakyReLU(0.2)),
        nn.Residual(nn.ConvTranspose2d(6, 6, 1)),
        nn.AvgPool2d(2, padding=1, count_include_pad=False),
        input_shape=(3, 9, 9),
    )
    for given in (network, residual_graph()):
        assert nn.described(nn.describe(given)) == given
    with pytest.raises(ValueError, match="there is no layer 'GELU'; there are"):
        nn.described(["GELU", {}])


def test_representation_shows_new_arguments_only_where_used():
    assert repr(nn.Conv2d(1, 2, 3)) == (
        "Conv2d(in_channels=1, out_channels=2, kernel_size=(3, 3), stride=(1, 1), padding=(0, 0),"
        " bias=True)"
    )
    assert "dilation=(2, 2), bias" in repr(nn.Conv2d(1, 2, 3, dilation=2))
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(kernel_size=(2, 2), stride=(2, 2))"


def test_freezing_makes_a_copy():
    network = residual_graph()
    frozen = nn.freeze(network, "stem", "1.0.bias")
    assert frozen.trained() == ("1.0.weight", "head.weight", "head.bias")
    assert len(network.trained()) == 6
    assert nn.freeze(nn.Linear(3, 4)).trained() == ()
    assert nn.freeze(frozen, "1").trained() == ("head.weight", "head.bias")
    with pytest.raises(ValueError, match="names must be layers or parameters of the network"):
        nn.freeze(network, "tail")


def graph(*calls, shape=(3, 4, 4)):
    """Apply (layer, number of inputs) in turn, all to the graph's input."""
    g = nn.Graph(shape)
    for layer, inputs in calls:
        value = g(layer, *[g.input] * inputs)
    return g.output(value)


def another():
    g, other = nn.Graph((3, 4, 4)), nn.Graph((3, 4, 4))
    g(nn.Add(), g.input, other.input)


def unused():
    g = nn.Graph((3, 4, 4))
    g(nn.ReLU(), g.input, name="lost")
    g.output(g(nn.Sigmoid(), g.input))


def twice():
    g = nn.Graph((3, 4, 4))
    g(nn.ReLU(), g(nn.ReLU(), g.input, name="a"), name="a")


def network(*layers, output="b"):
    return nn.Network(layers, input_shape=(3, 4, 4), output=output)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: graph((nn.ReLU(), 2)), ValueError, "layer 0 (ReLU): takes one input, not 2"),
        (lambda: graph((nn.Add(), 1)), ValueError, "layer 0 (Add): takes 2 inputs, not 1"),
        (lambda: graph((nn.Concat(), 1)), ValueError, "(Concat): takes two inputs or more, not 1"),
        (another, ValueError, "layer 0 (Add): inputs must be values of this graph, not another's"),
        (unused, ValueError, "layer lost (ReLU): its output must be used"),
        (twice, ValueError, "layer a (ReLU): the name must not be used twice"),
        (
            lambda: nn.Graph((3, 4, 4))(nn.ReLU(), 7),
            TypeError,
            "layer 0 (ReLU): inputs must be values of the graph, not 7",
        ),
        (lambda: graph(("conv", 1)), TypeError, "layer 0 must be a layer of nn, not 'conv'"),
        (
            lambda: network(
                ("a", nn.Add(), ("input", "b")), ("c", nn.ReLU(), ("a",)), ("b", nn.ReLU(), ("c",))
            ),
            ValueError,
            "layers must not depend on themselves: a -> c -> b -> a",
        ),
        (
            lambda: network(("b", nn.ReLU(), ("image",))),
            ValueError,
            "layer b (ReLU): its input must be a node or 'input', the network's only input, not",
        ),
        (
            lambda: network(("b", nn.ReLU(), ("input",)), ("b", nn.ReLU(), ("b",))),
            ValueError,
            "layer b (ReLU): the name must not be used twice",
        ),
        (
            lambda: network(("b", nn.ReLU(), ("input",)), output="c"),
            ValueError,
            "Network.output must be the name of a layer, not 'c'",
        ),
        (
            lambda: nn.Sequential(nn.Residual(nn.Conv2d(3, 4, 1)), input_shape=(3, 4, 4)),
            ValueError,
            "layer 0 (Add): inputs must have one shape, not (4, 4, 4) and (3, 4, 4)",
        ),
        (
            lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 5)), input_shape=(3, 4, 4)),
            ValueError,
            "layer 0.0 (Conv2d): kernel (5, 5) must not be larger than the padded input, 4x4",
        ),
        (lambda: nn.Sequential(nn.Add()), TypeError, "layer 0 must take one input, not Add()"),
        (
            lambda: nn.Sequential(nn.Sequential(nn.ReLU(), input_shape=(3,)), input_shape=(3,)),
            ValueError,
            "layer 0 must be given without an input_shape, which the network has",
        ),
        (
            lambda: nn.Conv2d(6, 8, 3, groups=4),
            ValueError,
            "Conv2d.groups must divide in_channels 6 and out_channels 8, not 4",
        ),
        (
            lambda: nn.Conv2d(6, 8, 3, dilation=2, padding=5),
            ValueError,
            "Conv2d.padding must be less than the dilated kernel (5, 5), not 5",
        ),
        (
            lambda: nn.Conv2d(6, 8, 2, padding="same"),
            ValueError,
            'Conv2d.padding must be numbers where the stride is not 1 or "same" would pad',
        ),
        (
            lambda: nn.Conv2d(6, 8, 2, requires_grad=("gamma",)),
            ValueError,
            "Conv2d.requires_grad must name some of ('weight', 'bias'), not 'gamma'",
        ),
        (
            lambda: nn.ConvTranspose2d(6, 8, 3, stride=2, output_padding=2),
            ValueError,
            "ConvTranspose2d.output_padding must be less than the stride (2, 2), not 2",
        ),
        (
            lambda: nn.AvgPool2d(2, ceil_mode=True),
            ValueError,
            "AvgPool2d.ceil_mode must be False, not True",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d(2),
            ValueError,
            "AdaptiveAvgPool2d.output_size must be 1, not 2",
        ),
        (
            lambda: nn.BatchNorm2d(4, momentum=None),
            ValueError,
            "BatchNorm2d.momentum must be 0 to 1 (cumulative averages are not supported), not None",
        ),
        (lambda: nn.BatchNorm2d(4, eps=0), ValueError, "BatchNorm2d.eps must be a number greater"),
        (lambda: nn.Dropout(1), ValueError, "Dropout.p must be at least 0 and less than 1, not 1"),
        (
            lambda: nn.CrossEntropyLoss("much"),
            TypeError,
            "CrossEntropyLoss.label_smoothing must be a number, not 'much'",
        ),
        (
            lambda: optim.SGD(lr=1, nesterov=True),
            ValueError,
            "SGD.nesterov must be False without momentum, not True",
        ),
        (
            lambda: optim.Adam(betas=(0.9, 1)),
            ValueError,
            "Adam.betas must be two numbers, at least 0 and less than 1, not (0.9, 1)",
        ),
        (lambda: optim.Adam(max_grad_norm=0), ValueError, "Adam.max_grad_norm must be greater"),
        (lambda: optim.SGD(lr=1, accumulation=0), ValueError, "SGD.accumulation must be 1 to"),
    ],
)
def test_description_is_refused(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def lowered(*layers, shape=(3, 4, 4), batch=1, loss=None, network=None):
    return prepare(
        network or nn.Sequential(*layers, input_shape=shape),
        AcceleratorConfig.preset("sim-small"),
        batch_size=batch,
        loss=loss or nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1),
    )


def mixed_layouts():
    g = nn.Graph((3, 2, 2))
    a, b = g(nn.Conv2d(3, 3, 1), g.input), g(nn.Conv2d(3, 5, 1), g.input)
    y = g(nn.Add(), g(nn.Concat(), a, b), g(nn.Conv2d(3, 8, 1), g.input))
    return g.output(g(nn.Linear(32, 2), g(nn.Flatten(), y)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: lowered(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2), shape=(3, 1, 1)),
            "layer 0 (BatchNorm2d): there must be more than one value of each channel, not 1 image",
        ),
        (
            lambda: lowered(nn.Flatten(), nn.Linear(48, 2), nn.Dropout(0.5)),
            "layer 2 (Dropout): the network must end in a Linear layer",
        ),
        (
            lambda: lowered(nn.Conv2d(3, 2, 1), nn.MaxPool2d(2), loss=nn.MSELoss()),
            "layer 1 (MaxPool2d): with MSELoss the network must end in a convolution, Linear,",
        ),
        (
            lambda: lowered(nn.Flatten(), nn.Linear(48, 2, requires_grad=False)),
            "the network must have a parameter that is trained",
        ),
        (
            lambda: lowered(network=mixed_layouts()),
            "layer 4 (Add): inputs must lie in memory alike, not a map of 8x2x2 concatenated of"
            " (3, 5) and a map of 8x2x2",
        ),
        (
            lambda: lowered(network=nn.Sequential(nn.ReLU())),
            "compile_network: network must have an input_shape, not None",
        ),
    ],
)
def test_lowering_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
