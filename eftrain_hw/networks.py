"""Networks to train, measure and plan with; PyTorch's layer names and shapes."""

from .compiler import nn

__all__ = ["NETWORKS", "cifar_cnn", "digits", "lenet5", "vgg16"]


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


def vgg16(classes=1000):
    """VGG-16 (Simonyan and Zisserman, 2015, configuration D), 224x224 pixels, without dropout."""
    layers, channels = [], 3
    for features, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += _stage(channels, features, depth)
        channels = features
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(512 * 7 * 7, 4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
        input_shape=(3, 224, 224),
    )


def _stage(channels, features, depth):
    """`depth` 3x3 convolutions with ReLU, then pooling to half the size."""
    layers = []
    for _ in range(depth):
        layers += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
        channels = features
    return [*layers, nn.MaxPool2d(2)]


NETWORKS = {"cifar": cifar_cnn, "digits": digits, "lenet5": lenet5, "vgg16": vgg16}
"""By the name that `eftrain plan --network` takes."""
