"""Networks with every kind of convolution, odd in every size, whose step takes some 10k cycles."""

from eftrain_hw import nn

__all__ = ["CONV_NETWORKS"]


def dilated():
    """Dilation with and without strides, one that divides the other and not; halos beyond maps."""
    return nn.Sequential(
        nn.Conv2d(5, 7, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(7, 9, (3, 2), stride=(2, 3), padding=(3, 1), dilation=(3, 2)),
        nn.ReLU(),
        nn.Conv2d(9, 6, 3, stride=2, padding=4, dilation=(2, 4), bias=False),
        nn.Flatten(),
        nn.Linear(6 * 5 * 2, 3),
        input_shape=(5, 9, 11),
    )


def separable():
    """A depthwise separable block of MobileNet between two convolutions, with a stride."""
    return nn.Sequential(
        nn.Conv2d(3, 10, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(10, 10, 3, padding=1, groups=10, bias=False),
        nn.ReLU(),
        nn.Conv2d(10, 17, 1),
        nn.ReLU(),
        nn.Conv2d(17, 17, (3, 5), stride=2, padding=(1, 2), groups=17),
        nn.ReLU(),
        nn.Conv2d(17, 5, 1),
        nn.Flatten(),
        nn.Linear(5 * 3 * 2, 4),
        input_shape=(3, 9, 7),
    )


def grouped():
    """Groups that are whole parts, several in a part, and more outputs than inputs a group."""
    return nn.Sequential(
        nn.Conv2d(6, 16, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(32, 24, 3, stride=2, groups=8),
        nn.Conv2d(24, 12, 2, groups=3, padding=1, dilation=2),
        nn.Flatten(),
        nn.Linear(12 * 2 * 3, 3),
        input_shape=(6, 5, 7),
    )


def upsampled():
    """Transposed convolutions: strides, an output padding, pixels without taps, groups."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 9, 3, stride=2, padding=1, output_padding=(1, 0)),
        nn.ReLU(),
        nn.ConvTranspose2d(9, 5, 1, stride=(2, 3), bias=True),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 10, (2, 3), groups=5, dilation=(2, 1), bias=False),
        nn.ReLU(),
        nn.Conv2d(10, 4, 5, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 5 * 6, 3),
        input_shape=(3, 5, 6),
    )


def partly_frozen():
    """Weights without biases, and biases without weights, are trained."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, requires_grad=("bias",)),
        nn.ReLU(),
        nn.Conv2d(6, 9, 3, stride=2, requires_grad=("weight",)),
        nn.ReLU(),
        nn.ConvTranspose2d(9, 5, 2, requires_grad=("bias",)),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 7, 2, requires_grad=("weight",)),
        nn.Flatten(),
        nn.Linear(7 * 5 * 5, 6, requires_grad=("bias",)),
        nn.ReLU(),
        nn.Linear(6, 3, requires_grad=("weight",)),
        input_shape=(3, 8, 8),
    )


def branches():
    """Concatenations with and without ReLU, of parts that leave lanes empty, in one another."""
    g = nn.Graph((3, 5, 7))
    x = g(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()), g.input, name="a")
    y = g(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU()), g.input, name="b")
    z = g(nn.Concat(), x, y, name="first")
    z = g(nn.Conv2d(14, 9, 3, padding=2, dilation=2), z, name="c")
    w = g(nn.ConvTranspose2d(3, 5, 3, padding=1), g.input, name="d")
    z = g(nn.Concat(), w, z, name="second")
    z = g(nn.Sequential(nn.Conv2d(14, 6, 3, stride=2), nn.ReLU()), z, name="e")
    w = g(nn.Sequential(nn.Conv2d(3, 3, (2, 3), stride=(3, 2)), nn.ReLU()), g.input, name="f")
    z = g(nn.Concat(), z, w, name="third")
    z = g(nn.Linear(9 * 2 * 3, 7), g(nn.Flatten(), z), name="g")
    return g.output(g(nn.Linear(7, 3), z, name="h"))


CONV_NETWORKS = {
    make.__name__: make
    for make in (dilated, separable, grouped, upsampled, partly_frozen, branches)
}
