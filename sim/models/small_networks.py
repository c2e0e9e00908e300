"""Networks with every kind of layer, odd in every size, whose step takes a few thousand cycles."""

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim

__all__ = ["LEAST_CONFIG", "SMALL_NETWORKS", "least_program"]

# every memory as small as it may be: the RTL compiles in seconds
LEAST_CONFIG = AcceleratorConfig(
    rows=4,
    lanes=4,
    drain_lanes=2,
    moving_words=64,
    stationary_words=64,
    accumulator_depth=64,
    bias_depth=32,
    pool_words=64,
    loss_words=64,
)


def strided():
    """Strides, a rectangular kernel, a layer without bias, a flattened map before a Linear."""
    return nn.Sequential(
        nn.Conv2d(5, 7, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(7, 9, (3, 2), stride=(1, 2), padding=(2, 0), bias=False),
        nn.Flatten(),
        nn.Linear(9 * 6 * 2, 11),
        nn.ReLU(),
        nn.Linear(11, 5),
        input_shape=(5, 7, 9),
    )


def pooled():
    """Pooling with odd windows and remainders, ReLU before and after it and on the input."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(3, 10, 3, padding=1),
        nn.MaxPool2d((2, 3)),
        nn.ReLU(),
        nn.Conv2d(10, 9, 1, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(9, 3),
        input_shape=(3, 9, 13),
    )


def large_kernel():
    """A kernel larger than its map, one pixel out of it, and one class more than a block."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 7, stride=4, padding=3),
        nn.ReLU(),
        nn.Conv2d(4, 6, 5, stride=3, padding=2),
        nn.Flatten(),
        nn.Linear(6, 9),
        input_shape=(1, 9, 7),
    )


def perceptron():
    """Fully connected layers only, one of them with a single output."""
    return nn.Sequential(
        nn.Linear(19, 13),
        nn.ReLU(),
        nn.Linear(13, 1),
        nn.Linear(1, 3),
        input_shape=(19,),
    )


SMALL_NETWORKS = {make.__name__: make for make in (strided, pooled, large_kernel, perceptron)}


def least_program(config=LEAST_CONFIG, *, batch_size=4):
    """A convolution, a pooling and a fully connected layer, compiled for SGD."""
    network = nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 3),
        input_shape=(1, 5, 4),
    )
    return compile_network(
        network,
        config,
        batch_size=batch_size,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1, momentum=0.9),
    )
