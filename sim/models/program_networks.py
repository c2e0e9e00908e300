"""Networks whose layers become vector programs, odd in every size, a few thousand cycles each."""

from eftrain_hw import nn

__all__ = ["PROGRAM_NETWORKS"]


def _conv(inputs, outputs, kernel=3, **settings):
    settings = {"padding": kernel // 2, "bias": False} | settings
    return nn.Conv2d(inputs, outputs, kernel, **settings)


def _body(channels):
    return nn.Sequential(
        _conv(channels, channels), nn.BatchNorm2d(channels), nn.ReLU(),
        _conv(channels, channels), nn.BatchNorm2d(channels),
    )  # fmt: skip


def residual():
    """Blocks of a ResNet, one with its shortcut through a convolution; a global average."""
    shortcut = nn.Sequential(_conv(9, 17, 1, stride=2), nn.BatchNorm2d(17))
    wider = nn.Sequential(
        _conv(9, 17, stride=2), nn.BatchNorm2d(17), nn.ReLU(), _conv(17, 17), nn.BatchNorm2d(17)
    )
    return nn.Sequential(
        _conv(3, 9), nn.BatchNorm2d(9), nn.ReLU(),
        nn.Residual(_body(9)), nn.ReLU(),
        nn.Residual(wider, shortcut), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(17, 5), input_shape=(3, 5, 7),
    )  # fmt: skip


def added():
    """Additions without batch normalisation: ReLU masks on their inputs, three users of one."""
    g = nn.Graph(input_shape=(4, 5, 4))
    a = g(nn.ReLU(), g(nn.Conv2d(4, 7, 3, padding=1), g.input))
    b = g(nn.ReLU(), g(nn.Conv2d(7, 7, 1), a))
    c = g(nn.LeakyReLU(0.1), g(nn.Add(), a, b))
    d = g(nn.Add(), g(nn.Conv2d(7, 7, 3, padding=1), a), c)
    return g.output(g(nn.Linear(7 * 20, 4), g(nn.Flatten(), d)))


def normalised():
    """Batch normalisation of what came out of a ReLU, without parameters, without running
    statistics, of the input, and of single pixels."""
    return nn.Sequential(
        nn.BatchNorm2d(3, momentum=0.3),
        nn.Conv2d(3, 9, 3), nn.ReLU(), nn.BatchNorm2d(9, affine=False),
        nn.Conv2d(9, 6, 3, stride=2), nn.BatchNorm2d(6, eps=0.1, track_running_stats=False),
        nn.ReLU(), nn.Conv2d(6, 10, (2, 1)), nn.BatchNorm2d(10), nn.ReLU(),
        nn.Flatten(), nn.Linear(10, 3), input_shape=(3, 7, 5),
    )  # fmt: skip


def averaged():
    """Averages: overlapping, padded, counted with and without it, apart with pixels left over."""
    return nn.Sequential(
        nn.Conv2d(3, 9, 1), nn.ReLU(), nn.AvgPool2d(3, stride=2, padding=1),
        nn.Conv2d(9, 5, 1), nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False),
        nn.LeakyReLU(), nn.AvgPool2d((2, 3), stride=(3, 3)),
        nn.Flatten(), nn.Linear(5 * 4, 4), input_shape=(3, 9, 11),
    )  # fmt: skip


def pooled():
    """Largest elements of windows that overlap, with padding, and behind a ReLU."""
    return nn.Sequential(
        _conv(3, 9), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1),
        _conv(9, 9), nn.MaxPool2d((3, 2), stride=(1, 3), padding=(1, 0)), nn.ReLU(),
        nn.MaxPool2d(1, stride=2),
        nn.Flatten(), nn.Linear(9 * 2, 4), input_shape=(3, 8, 9),
    )  # fmt: skip


def joined(channels=8):
    """Concatenated: what three programs make, one behind a ReLU, and a copy of what is another's
    part already; `channels` fill a block."""
    g = nn.Graph(input_shape=(3, 4, 5))
    x = g(_conv(3, channels), g.input)
    a = g(nn.ReLU(), g(nn.BatchNorm2d(channels), x))
    b = g(nn.LeakyReLU(0.3), x)
    c = g(nn.Add(), a, b)
    y = g(nn.Concat(), a, b, g(nn.Sigmoid(), c))
    z = g(nn.Concat(), y, b)
    z = g(_conv(4 * channels, channels), z)
    return g.output(g(nn.Linear(channels * 20, 3), g(nn.Flatten(), z)))


def dropped():
    """Dropout behind a ReLU, behind a convolution, and of as many elements as make no block."""
    return nn.Sequential(
        nn.Conv2d(2, 9, 3, padding=1), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(9, 7, 3), nn.Dropout(0.75),
        nn.Flatten(), nn.Linear(7 * 3, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3),
        input_shape=(2, 5, 3),
    )  # fmt: skip


def short():
    """A network for optimizers: weights, biases, and parameters without a compute copy."""
    return nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 3, 3),
        input_shape=(2, 5, 3),
    )  # fmt: skip


_MAKERS = (residual, added, normalised, averaged, pooled, joined, dropped, short)
PROGRAM_NETWORKS = {make.__name__: make for make in _MAKERS}
