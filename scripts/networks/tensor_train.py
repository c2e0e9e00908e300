"""784-512-10 with two tensor-train layers (arXiv 2104.03420), for digits of 28x28 pixels."""

from eftrain_hw import nn

network = nn.Sequential(
    nn.Flatten(),
    nn.TTLinear(784, 512, in_shape=(7, 4, 7, 4), out_shape=(4, 4, 8, 4), rank=8),
    nn.ReLU(),
    nn.TTLinear(512, 10, in_shape=(16, 8, 4), out_shape=(10, 1, 1), rank=(8, 4)),
    input_shape=(1, 28, 28),
)
