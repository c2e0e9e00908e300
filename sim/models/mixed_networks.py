"""Networks in which every kind of convolution meets layers that are vector programs."""

from eftrain_hw import nn

__all__ = ["MIXED_NETWORKS"]


def _separable(inputs, outputs, stride=1):
    return [
        nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def mobile():
    """Blocks of MobileNet, one with a stride."""
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        *_separable(5, 9),
        *_separable(9, 10, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 3),
        input_shape=(3, 5, 7),
    )


def autoencoder():
    """Down and up again; the outputs are a map."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 9, 3, padding=1),
        nn.BatchNorm2d(9),
        nn.ReLU(),
        nn.ConvTranspose2d(9, 3, 3, stride=2, padding=1, output_padding=1),
        input_shape=(3, 6, 8),
    )


def inception():
    """Three branches of one tensor, concatenated, each through a ReLU."""
    g = nn.Graph((3, 5, 6))
    x = g(nn.Sequential(nn.Conv2d(3, 7, 3, padding=1), nn.ReLU()), g.input)
    a = g(nn.Sequential(nn.Conv2d(7, 5, 1), nn.ReLU()), x)
    b = nn.Sequential(nn.Conv2d(7, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
    c = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(7, 3, 1), nn.ReLU())
    y = g(nn.Concat(), a, g(b, x), g(c, x))
    y = g(nn.Conv2d(14, 5, 3, stride=2), y)
    return g.output(g(nn.Linear(5 * 2 * 2, 3), g(nn.Flatten(), y)))


def joined():
    """A concatenation of a tensor with a ReLU, one without, and one of batch normalisation."""
    g = nn.Graph((3, 4, 4))
    a = g(nn.Conv2d(3, 5, 1), g.input)
    b = g(nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU()), g.input)
    c = g(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), g.input)
    y = g(nn.Conv2d(15, 5, 3), g(nn.Concat(), a, b, c))
    return g.output(g(nn.Linear(20, 3), g(nn.Flatten(), y)))


def unet():
    """Skips: a tensor that is pooled, convolved and concatenated; a pooled one concatenated;
    dropout of parts, added up to a part."""
    g = nn.Graph((3, 8, 6))
    a = g(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()), g.input)
    down = g(nn.MaxPool2d(2), a)
    b = g(nn.Sequential(nn.Conv2d(6, 9, 3, padding=1), nn.ReLU()), down)
    c = g(nn.Concat(), b, down)
    c = g(nn.Concat(), g(nn.Add(), g(nn.Dropout(0.4), c), c), g(nn.Dropout(0.3), b))
    up = g(nn.Sequential(nn.ConvTranspose2d(24, 6, 2, stride=2), nn.ReLU()), c)
    side = g(nn.Sequential(nn.Conv2d(6, 5, 1), nn.ReLU()), up)
    y = g(nn.Concat(), a, up, side)
    y = g(nn.Sequential(nn.Conv2d(17, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 2, 1)), y)
    return g.output(y)


def dense():
    """Concatenations of concatenations, whose parts have other users with and without a ReLU."""
    g = nn.Graph((3, 5, 4))
    x, channels = g(nn.Sequential(nn.Conv2d(3, 9, 3, padding=1), nn.ReLU()), g.input), 9
    for growth, relu in ((3, True), (5, True), (4, False)):
        y = g(nn.Conv2d(channels, growth, 3, padding=1), x)
        x = g(nn.Concat(), x, g(nn.ReLU(), y) if relu else y)
        channels += growth
    z = g(nn.ConvTranspose2d(channels, 3, 2), x)
    return g.output(g(nn.Linear(3 * 30, 3), g(nn.Flatten(), z)))


_MAKERS = (mobile, autoencoder, inception, joined, unet, dense)
MIXED_NETWORKS = {make.__name__: make for make in _MAKERS}
