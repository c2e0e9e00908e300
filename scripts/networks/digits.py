"""The network of `make demo`: a small CNN for scikit-learn's digits, 8x8 pixels."""

from eftrain_hw import nn

network = nn.Sequential(
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
