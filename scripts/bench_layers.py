"""What `make bench` measures: layers, and EF-Train's figures for those of VGG-16."""

from eftrain_hw.runtime.benchmark import Layer

__all__ = [
    "CIFAR_BATCHES",
    "EF_TRAIN",
    "EF_TRAIN_STEP",
    "LAYERS",
    "VGG16",
    "bar_of",
]

CIFAR_BATCHES = (16, 4)
# Share of its 16x16 MACs that EF-Train uses in each pass, from its published scheduling model
# (Tang, Zhang, Zhou, Hu: EF-Train, ACM TODAES 27(5), 2022), fp32, batch 16, full height.
EF_TRAIN = {
    "conv1": {"fp": 0.1604, "wu": 0.1870},
    "conv2": {"fp": 0.8716, "bp": 0.8716, "wu": 0.9912},
    "conv3": {"fp": 0.8806, "bp": 0.9356, "wu": 0.9730},
    "conv4": {"fp": 0.9365, "bp": 0.9365, "wu": 0.9730},
    "conv5": {"fp": 0.9356, "bp": 0.9650, "wu": 0.9403},
    "conv6, 7": {"fp": 0.9658, "bp": 0.9658, "wu": 0.9403},
    "conv8": {"fp": 0.9603, "bp": 0.9770, "wu": 0.9610},
    "conv9, 10": {"fp": 0.9774, "bp": 0.9774, "wu": 0.9777},
    "conv11, 12, 13": {"fp": 0.9686, "bp": 0.9649, "wu": 0.9564},
}
EF_TRAIN_STEP = 0.9373  # of all 13 convolutions together
# in and out channels, side of the map, rows of it that are simulated
_VGG16_SHAPES = {
    "conv1": (3, 64, 224, 8),
    "conv2": (64, 64, 224, 4),
    "conv3": (64, 128, 112, 4),
    "conv4": (128, 128, 112, 4),
    "conv5": (128, 256, 56, 4),
    "conv6, 7": (256, 256, 56, 2),
    "conv8": (256, 512, 28, 2),
    "conv9, 10": (512, 512, 28, 2),
    "conv11, 12, 13": (512, 512, 14, 2),
}


def _conv(inputs, outputs, height, *, width=None, kernel=3, **more):
    return Layer(
        in_channels=inputs,
        out_channels=outputs,
        height=height,
        width=width or height,
        kernel=kernel,
        padding=kernel // 2,
        **more,
    )


def _linear(inputs, outputs, batch):
    return Layer(kind="linear", in_channels=inputs, out_channels=outputs, batch=batch)


VGG16 = {
    name: _conv(inputs, outputs, rows, width=side, first=name == "conv1")
    for name, (inputs, outputs, side, rows) in _VGG16_SHAPES.items()
}


def _cifar(batch):
    shapes = ((3, 16, 32), (16, 16, 32), (16, 32, 16), (32, 32, 16), (32, 64, 8), (64, 64, 8))
    layers = [_conv(*shape, batch=batch, first=shape[0] == 3) for shape in shapes]
    return [*layers, _linear(1024, 10, batch)]


LAYERS = {
    **{f"CIFAR CNN, batch {batch}": _cifar(batch) for batch in CIFAR_BATCHES},
    "3x3": [
        _conv(32, 32, 14, batch=4),
        _conv(64, 64, 14, batch=4),
        _conv(48, 80, 14, batch=4),
        _conv(32, 64, 32, stride=2, batch=4),
        _conv(48, 80, 28, stride=2, batch=4),
        _conv(64, 64, 28, stride=2, batch=4),
        _conv(16, 16, 28, stride=2, batch=16),
        _conv(32, 48, 17, width=31, batch=4),
        _conv(17, 31, 19, batch=4),
    ],
    "1x1, 5x5": [
        _conv(64, 128, 28, kernel=1, batch=4),
        _conv(256, 64, 14, kernel=1, batch=4),
        _conv(128, 128, 14, kernel=1, batch=4),
        _conv(64, 128, 56, kernel=1, stride=2, batch=4),
        _conv(32, 32, 16, kernel=5, batch=4),
        _conv(48, 80, 19, width=23, kernel=5, stride=2, batch=4),
        _conv(16, 32, 15, kernel=7, stride=2, batch=16),
    ],
    "fully connected": [
        _linear(1024, 256, 16),
        _linear(512, 512, 32),
        _linear(784, 128, 32),
        _linear(4096, 1000, 4),
    ],
    "VGG-16, batch 16": list(VGG16.values()),
}


def bar_of(layer):
    """The share of its roofline that each pass of a layer is to reach.

    3x3 layers of whole blocks of channels, 14x14 output pixels, 4 images and 30,000 cycles: 97 %,
    other convolutions 95 %, fully connected layers 90 %.
    """
    if layer.kind == "linear":
        return 0.9
    whole = layer.in_channels % 16 == 0 == layer.out_channels % 16 and min(layer.out_size) >= 14
    long = layer.batch >= 4 and layer.macs >= 30_000 * 256
    return 0.97 if layer.kernel == 3 and whole and long else 0.95
