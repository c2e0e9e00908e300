"""Networks of residual blocks and of depthwise convolutions."""

from ..compiler import nn
from .scale import scaled

__all__ = ["mobilenet_v1", "resnet18", "resnet20"]


def _conv_norm(channels, features, kernel, **settings):
    conv = nn.Conv2d(channels, features, kernel, bias=False, **settings)
    return conv, nn.BatchNorm2d(features)


def _basic_block(channels, features, stride):
    """Two 3x3 convolutions beside an identity, or a 1x1 convolution where the shape changes."""
    body = nn.Sequential(
        *_conv_norm(channels, features, 3, stride=stride, padding=1),
        nn.ReLU(),
        *_conv_norm(features, features, 3, padding=1),
    )
    shortcut = None
    if stride != 1 or channels != features:
        shortcut = nn.Sequential(*_conv_norm(channels, features, 1, stride=stride))
    return [nn.Residual(body, shortcut), nn.ReLU()]


def _residual_stages(channels, widths, depth):
    layers = []
    for stage, features in enumerate(widths):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            layers += _basic_block(channels, features, stride)
            channels = features
    return layers


def resnet20(classes=10, size=32, width=1.0):
    """ResNet-20 for CIFAR (He et al., 2016), with projections where the shape changes; `width` is
    a factor of the numbers of channels."""
    widths = [scaled("resnet20", channels, width) for channels in (16, 32, 64)]
    return nn.Sequential(
        *_conv_norm(3, widths[0], 3, padding=1),
        nn.ReLU(),
        *_residual_stages(widths[0], widths, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(widths[-1], classes),
        input_shape=(3, size, size),
    )


def resnet18(classes=1000, size=224, width=1.0):
    """ResNet-18 (He et al., 2016) for images of size x size pixels; `width` as `resnet20`."""
    widths = [scaled("resnet18", channels, width) for channels in (64, 128, 256, 512)]
    return nn.Sequential(
        *_conv_norm(3, widths[0], 7, stride=2, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        *_residual_stages(widths[0], widths, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(widths[-1], classes),
        input_shape=(3, size, size),
    )


_MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5,
              (1024, 2), (1024, 1))  # fmt: skip


def mobilenet_v1(classes=1000, width=1.0, size=224):
    """MobileNet (Howard et al., 2017): depthwise and pointwise convolutions in turn.

    Parameters
    ----------
    classes : int
    width : float
        Factor of all channel counts (rounded, at least 8).
    size : int
        Height and width of the images, 32 or more.
    """
    channels = scaled("mobilenet_v1", 32, width, 8)
    layers = [*_conv_norm(3, channels, 3, stride=2, padding=1), nn.ReLU()]
    for features, stride in _MOBILENET:
        features = scaled("mobilenet_v1", features, width, 8)
        depthwise = {"stride": stride, "padding": 1, "groups": channels}
        layers += [*_conv_norm(channels, channels, 3, **depthwise), nn.ReLU()]
        layers += [*_conv_norm(channels, features, 1), nn.ReLU()]
        channels = features
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
        input_shape=(3, size, size),
    )
