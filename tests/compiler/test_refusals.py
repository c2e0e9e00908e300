"""Every refusal names the layer or field, what was given and what is allowed."""

import re

import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim


def build(*layers, input_shape=(3, 8, 8)):
    return nn.Sequential(*layers, input_shape=input_shape)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: build(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 6, 3)),
            ValueError,
            "layer 1 (Conv2d): input must be (5 channels, height, width), not (4, 6, 6)",
        ),
        (
            lambda: build(nn.Conv2d(3, 4, 9)),
            ValueError,
            "layer 0 (Conv2d): kernel (9, 9) must not be larger than the padded input, 8x8",
        ),
        (
            lambda: build(nn.Linear(192, 10)),
            ValueError,
            "layer 0 (Linear): input must be (192,), not (3, 8, 8); put Flatten before it",
        ),
        (
            lambda: build(nn.MaxPool2d(9)),
            ValueError,
            "layer 0 (MaxPool2d): kernel (9, 9) must not be larger than the input, 8x8",
        ),
        (
            lambda: build(nn.Flatten(), nn.MaxPool2d(2)),
            ValueError,
            "layer 1 (MaxPool2d): input must be (channels, height, width), not (192,)",
        ),
        (lambda: build(), ValueError, "Sequential must have at least one layer"),
        (lambda: build("conv"), TypeError, "layer 0 must be one of"),
        (
            lambda: build(nn.Flatten(), input_shape=(3, 8)),
            ValueError,
            "Sequential.input_shape must be (channels, height, width) or (features,), not (3, 8)",
        ),
        (lambda: nn.Conv2d(3, 4, 12), ValueError, "Conv2d.kernel_size must be 1 to 11, not 12"),
        (lambda: nn.Conv2d(3, 4, 3, stride=5), ValueError, "Conv2d.stride must be 1 to 4, not 5"),
        (
            lambda: nn.Conv2d(3, 4, 3, padding=3),
            ValueError,
            "Conv2d.padding must be less than the kernel (3, 3), not 3",
        ),
        (lambda: nn.Conv2d(0, 4, 3), ValueError, "Conv2d.in_channels must be 1 to 65535, not 0"),
        (lambda: nn.Linear(4.0, 4), TypeError, "Linear.in_features must be an integer, not 4.0"),
        (
            lambda: nn.MaxPool2d(3, stride=2, padding=2),
            ValueError,
            "MaxPool2d.padding must be at most half of the kernel (3, 3), not 2",
        ),
        (lambda: optim.SGD(lr=0), ValueError, "SGD.lr must be a number greater than 0, not 0"),
        (
            lambda: optim.SGD(lr=1, momentum=1),
            ValueError,
            "SGD.momentum must be at least 0 and less than 1, not 1",
        ),
        (
            lambda: AcceleratorConfig(rows=7),
            ValueError,
            "AcceleratorConfig.rows must be even, 2 to 64, not 7",
        ),
        (
            lambda: AcceleratorConfig(lanes=12),
            ValueError,
            "AcceleratorConfig.lanes must be one of (4, 8, 16, 32), not 12",
        ),
        (
            lambda: AcceleratorConfig(format="int8"),
            ValueError,
            "AcceleratorConfig.format must be one of ('bfp8', 'fp32'), not 'int8'",
        ),
        (
            lambda: AcceleratorConfig(rows=16.0),
            TypeError,
            "AcceleratorConfig.rows must be int, not 16.0",
        ),
        (
            lambda: AcceleratorConfig().replace(row=8),
            ValueError,
            "AcceleratorConfig has no field 'row'",
        ),
        (
            lambda: AcceleratorConfig.preset("pynq-z9"),
            ValueError,
            "configuration preset must be one of",
        ),
        (
            lambda: AcceleratorConfig.load("missing.json"),
            ValueError,
            "configuration must be a JSON file or one of",
        ),
    ],
)
def test_description_is_refused(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def compiled(network, config=None, batch_size=2, optimizer=None):
    config = config or AcceleratorConfig()
    optimizer = optimizer or optim.SGD(lr=0.1)
    return compile_network(
        network, config, batch_size=batch_size, loss=nn.CrossEntropyLoss(), optimizer=optimizer
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"network": build(nn.Conv2d(3, 4, 3))},
            ValueError,
            "layer 0 (Conv2d): the network must end in a Linear layer, or a Conv2d",
        ),
        (
            {"network": build(nn.Flatten(), nn.Linear(192, 4), nn.ReLU())},
            ValueError,
            "layer 2 (ReLU): the network must end in a Linear layer",
        ),
        (
            {"network": build(nn.Flatten(), nn.Linear(192, 4)), "batch_size": 0},
            ValueError,
            "compile_network: batch_size must be 1 to 4096, not 0",
        ),
        (
            {"network": "net"},
            TypeError,
            "compile_network: network must be Sequential or Network, not 'net'",
        ),
        (
            {
                "network": build(
                    nn.Conv2d(3, 4, 3, padding=1),
                    nn.Flatten(),
                    nn.Linear(4 * 600 * 8, 4),
                    input_shape=(3, 8, 600),
                )
            },
            ValueError,
            "0.Conv2d forward: the configuration can't hold one tile",
        ),
        (
            {
                "network": build(
                    nn.MaxPool2d(2),
                    nn.Flatten(),
                    nn.Linear(3 * 4 * 300, 4),
                    input_shape=(3, 8, 600),
                )
            },
            ValueError,
            "0.MaxPool2d: a band of 2 rows, 600 columns takes 1200 words",
        ),
        (
            {"network": build(nn.Flatten(), nn.Linear(192, 2000))},
            ValueError,
            "loss: 2000 classes; the configuration's loss_words must be at least that, not 1024",
        ),
    ],
)
def test_compilation_is_refused(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        compiled(**arguments)
