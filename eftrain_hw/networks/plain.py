"""Networks in which layers follow each other: LeNet-5, AlexNet, VGG and small ones."""

from ..compiler import nn
from .scale import scaled

__all__ = ["alexnet", "alexnet_cifar", "cifar_cnn", "digits", "lenet5", "vgg11", "vgg16"]


def digits():
    """A small CNN for scikit-learn's digits, 8x8 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
        input_shape=(1, 8, 8),
    )


def lenet5(classes=10, width=1.0):
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling, 28x28 pixels; `width` as `vgg11`."""
    first, second, *hidden = (scaled("lenet5", n, width) for n in (6, 16, 120, 84))
    return nn.Sequential(
        nn.Conv2d(1, first, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(25 * second, hidden[0]),
        nn.ReLU(),
        nn.Linear(hidden[0], hidden[1]),
        nn.ReLU(),
        nn.Linear(hidden[1], classes),
        input_shape=(1, 28, 28),
    )


def cifar_cnn(classes=10, width=1.0):
    """Six convolutions and a Linear layer for CIFAR-10, 32x32 pixels; `width` as `vgg11`."""
    layers, channels = [], 3
    for features in (16, 32, 64):
        features = scaled("cifar_cnn", features, width)
        layers += _stage(channels, features, 2)
        channels = features
    head = nn.Flatten(), nn.Linear(16 * channels, classes)
    return nn.Sequential(*layers, *head, input_shape=(3, 32, 32))


def alexnet(classes=1000, size=224, width=1.0):
    """AlexNet (Krizhevsky, 2014, one column) as torchvision's, for images of size x size pixels.

    63 pixels or more; `width` as `vgg11`.
    """
    a, b, c, d, hidden = (scaled("alexnet", n, width) for n in (64, 192, 384, 256, 4096))
    features = [
        *_conv_relu(3, a, 11, stride=4, padding=2),
        nn.MaxPool2d(3, stride=2),
        *_conv_relu(a, b, 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        *_conv_relu(b, c, 3, padding=1),
        *_conv_relu(c, d, 3, padding=1),
        *_conv_relu(d, d, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
    ]
    return _with_classifier(features, (3, size, size), classes, hidden, dropout_first=True)


def alexnet_cifar(classes=10, width=1.0):
    """AlexNet's layers for 32x32 pixels: kernels of 5 and 3, three poolings to half the size;
    `width` as `vgg11`."""
    a, b, c, d, hidden = (scaled("alexnet_cifar", n, width) for n in (64, 192, 384, 256, 1024))
    features = [
        *_conv_relu(3, a, 5, padding=2),
        nn.MaxPool2d(2),
        *_conv_relu(a, b, 5, padding=2),
        nn.MaxPool2d(2),
        *_conv_relu(b, c, 3, padding=1),
        *_conv_relu(c, d, 3, padding=1),
        *_conv_relu(d, d, 3, padding=1),
        nn.MaxPool2d(2),
    ]
    return _with_classifier(features, (3, 32, 32), classes, hidden, dropout_first=True)


def _with_classifier(features, input_shape, classes, hidden, dropout_first=False):
    """Two hidden layers with dropout behind the features."""
    shape = nn.Sequential(*features).output_shape(input_shape)
    first, second = nn.Linear(shape[0] * shape[1] * shape[2], hidden), nn.Linear(hidden, hidden)
    head = [nn.Flatten(), first, nn.ReLU(), nn.Dropout(), second, nn.ReLU()]
    if dropout_first:
        head = [nn.Flatten(), nn.Dropout(), *head[1:]]
    else:
        head.append(nn.Dropout())
    head.append(nn.Linear(hidden, classes))
    return nn.Sequential(*features, *head, input_shape=input_shape)


_VGG = {
    "vgg11": ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)),
    "vgg16": ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
}


def _vgg(kind, classes, batch_norm, size, hidden, dropout, width):
    layers, channels = [], 3
    hidden = scaled(kind, hidden, width)
    for features, depth in _VGG[kind]:
        features = scaled(kind, features, width)
        layers += _stage(channels, features, depth, batch_norm)
        channels = features
    if dropout:
        return _with_classifier(layers, (3, size, size), classes, hidden)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(channels * (size // 32) ** 2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
        input_shape=(3, size, size),
    )


def vgg11(classes=1000, *, batch_norm=False, size=224, hidden=4096, dropout=False, width=1.0):
    """VGG-11 (Simonyan and Zisserman, 2015, configuration A).

    Parameters
    ----------
    classes : int
    batch_norm : bool
        Batch normalisation behind every convolution.
    size : int
        Height and width, a multiple of 32.
    hidden : int
        Features of the two hidden Linear layers.
    dropout : bool
        Dropout behind these.
    width : float
        Factor of the numbers of channels and hidden features, rounded, at least 1.
    """
    return _vgg("vgg11", classes, batch_norm, size, hidden, dropout, width)


def vgg16(classes=1000, *, batch_norm=False, size=224, hidden=4096, dropout=False, width=1.0):
    """VGG-16 (Simonyan and Zisserman, 2015, configuration D); parameters as `vgg11`."""
    return _vgg("vgg16", classes, batch_norm, size, hidden, dropout, width)


def _stage(channels, features, depth, batch_norm=False):
    """`depth` 3x3 convolutions with ReLU, then pooling to half the size."""
    layers = []
    for _ in range(depth):
        layers.append(nn.Conv2d(channels, features, 3, padding=1))
        layers += [nn.BatchNorm2d(features)] if batch_norm else []
        layers.append(nn.ReLU())
        channels = features
    return [*layers, nn.MaxPool2d(2)]


def _conv_relu(channels, features, kernel, **settings):
    return nn.Conv2d(channels, features, kernel, **settings), nn.ReLU()
