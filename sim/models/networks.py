"""Small networks with awkward shapes, shared by the tests and test benches."""

from eftrain_hw import nn
from eftrain_hw.networks import digits

__all__ = ["NETWORKS"]


def odd():
    """Odd channel counts and maps, strides, a rectangular kernel, a layer without bias."""
    return nn.Sequential(
        nn.Conv2d(5, 7, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(7, 19, (5, 3), stride=(1, 2), padding=(2, 0), bias=False),
        nn.ReLU(),
        nn.Conv2d(19, 33, 2, stride=3, padding=1),
        nn.Flatten(),
        nn.Linear(33 * 4 * 2, 21),
        nn.ReLU(),
        nn.Linear(21, 5),
        input_shape=(5, 19, 23),
    )


def pooled():
    """Pooling with odd windows and remainders, ReLU after it, and a ReLU on the input."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(3, 17, 3, padding=1),
        nn.MaxPool2d((2, 3)),
        nn.ReLU(),
        nn.Conv2d(17, 18, 1, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(18, 3),
        input_shape=(3, 13, 17),
    )


def large_kernels():
    """Kernels of 11, 7 and 5, some with strides, and one stride larger than its kernel."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 11, stride=4, padding=5),
        nn.ReLU(),
        nn.Conv2d(4, 8, 7, padding=3),
        nn.Conv2d(8, 6, 1, stride=3),
        nn.ReLU(),
        nn.Conv2d(6, 9, 5, stride=2, padding=4),
        nn.Flatten(),
        nn.Linear(9 * 4 * 4, 4),
        input_shape=(2, 31, 31),
    )


def perceptron():
    """Fully connected layers only."""
    return nn.Sequential(
        nn.Linear(31, 17),
        nn.ReLU(),
        nn.Linear(17, 1),
        nn.Linear(1, 3),
        input_shape=(31,),
    )


NETWORKS = {make.__name__: make for make in (digits, odd, pooled, large_kernels, perceptron)}
