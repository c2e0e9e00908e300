"""Networks in which layers follow each other: LeNet-5, AlexNet, VGG and small ones."""

from ..compiler import nn

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


def lenet5():
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling, 28x28 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
        input_shape=(1, 28, 28),
    )


def cifar_cnn():
    """Six convolutions and a Linear layer for CIFAR-10, 32x32 pixels."""
    layers, channels = [], 3
    for features in (16, 32, 64):
        layers += _stage(channels, features, 2)
        channels = features
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 10), input_shape=(3, 32, 32))


def alexnet(classes=1000, size=224):
    """AlexNet (Krizhevsky, 2014, one column) as torchvision's, for images of size x size pixels.

    63 pixels or more.
    """
    features = [
        *_conv_relu(3, 64, 11, stride=4, padding=2),
        nn.MaxPool2d(3, stride=2),
        *_conv_relu(64, 192, 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        *_conv_relu(192, 384, 3, padding=1),
        *_conv_relu(384, 256, 3, padding=1),
        *_conv_relu(256, 256, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
    ]
    return _with_classifier(features, (3, size, size), classes, 4096, dropout_first=True)


def alexnet_cifar(classes=10):
    """AlexNet's layers for 32x32 pixels: kernels of 5 and 3, three poolings to half the size."""
    features = [
        *_conv_relu(3, 64, 5, padding=2),
        nn.MaxPool2d(2),
        *_conv_relu(64, 192, 5, padding=2),
        nn.MaxPool2d(2),
        *_conv_relu(192, 384, 3, padding=1),
        *_conv_relu(384, 256, 3, padding=1),
        *_conv_relu(256, 256, 3, padding=1),
        nn.MaxPool2d(2),
    ]
    return _with_classifier(features, (3, 32, 32), classes, 1024, dropout_first=True)


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


def _vgg(kind, classes, batch_norm, size, hidden, dropout):
    layers, channels = [], 3
    for features, depth in _VGG[kind]:
        layers += _stage(channels, features, depth, batch_norm)
        channels = features
    if dropout:
        return _with_classifier(layers, (3, size, size), classes, hidden)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(512 * (size // 32) ** 2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
        input_shape=(3, size, size),
    )


def vgg11(classes=1000, *, batch_norm=False, size=224, hidden=4096, dropout=False):
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
    """
    return _vgg("vgg11", classes, batch_norm, size, hidden, dropout)


def vgg16(classes=1000, *, batch_norm=False, size=224, hidden=4096, dropout=False):
    """VGG-16 (Simonyan and Zisserman, 2015, configuration D); parameters as `vgg11`."""
    return _vgg("vgg16", classes, batch_norm, size, hidden, dropout)


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
