"""784-512-10 with two tensor-train layers (arXiv 2104.03420), for digits of 28x28 pixels.

The factors are those that need little memory for what lies between the cores: see
docs/tensor-train.md. Without biases no vector program is needed, nor sums in fp32 before them.
"""

from eftrain_hw import nn

network = nn.Sequential(
    nn.Flatten(),
    nn.TTLinear(784, 512, in_shape=(28, 28, 1, 1), out_shape=(1, 2, 8, 32), rank=8,
                bias=False),
    nn.ReLU(),
    nn.TTLinear(512, 10, in_shape=(2, 8, 32), out_shape=(10, 1, 1), rank=8, bias=False),
    input_shape=(1, 28, 28),
)  # fmt: skip
