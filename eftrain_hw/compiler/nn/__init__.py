"""Network descriptions, with PyTorch's names, argument names, defaults and weight shapes."""

from .containers import Residual, Sequential
from .convolution import MAX_KERNEL, MAX_STRIDE, Conv2d, ConvTranspose2d, Linear
from .describe import describe, described, freeze, thaw, train_only
from .elementwise import Add, Concat, Dropout, Flatten, Identity, LeakyReLU, ReLU, Sigmoid
from .graph import Graph, Value
from .loss import CrossEntropyLoss, MSELoss
from .module import Module
from .network import INPUT, Network, Node
from .normalization import BatchNorm2d
from .pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from .tensor_train import TTConv2d, TTLinear

_PRIMITIVE = (
    AdaptiveAvgPool2d, Add, AvgPool2d, BatchNorm2d, Concat, Conv2d, ConvTranspose2d, Dropout,
    Flatten, Identity, LeakyReLU, Linear, MaxPool2d, ReLU, Sigmoid, TTConv2d, TTLinear,
)  # fmt: skip
LAYERS = {layer.__name__: layer for layer in _PRIMITIVE}
"""The primitive layers by name."""

__all__ = [
    "AdaptiveAvgPool2d", "Add", "AvgPool2d", "BatchNorm2d", "Concat", "Conv2d", "ConvTranspose2d",
    "CrossEntropyLoss", "Dropout", "Flatten", "Graph", "Identity", "LeakyReLU", "Linear", "MSELoss",
    "MaxPool2d", "Module", "Network", "ReLU", "Residual", "Sequential", "Sigmoid", "TTConv2d",
    "TTLinear", "describe", "described", "freeze", "thaw", "train_only",
]  # fmt: skip
