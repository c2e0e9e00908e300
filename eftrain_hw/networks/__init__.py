"""Networks to train, measure and plan with; PyTorch's layer names and shapes."""

from functools import partial

from .plain import alexnet, alexnet_cifar, cifar_cnn, digits, lenet5, vgg11, vgg16
from .residual import mobilenet_v1, resnet18, resnet20

__all__ = [
    "NETWORKS", "alexnet", "alexnet_cifar", "cifar_cnn", "digits", "lenet5", "mobilenet_v1",
    "resnet18", "resnet20", "vgg11", "vgg16",
]  # fmt: skip

NETWORKS = {
    "alexnet": alexnet,
    "alexnet-cifar": alexnet_cifar,
    "cifar": cifar_cnn,
    "digits": digits,
    "lenet5": lenet5,
    "mobilenet-v1": mobilenet_v1,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "vgg11": vgg11,
    "vgg11-bn": partial(vgg11, batch_norm=True),
    "vgg16": vgg16,
    "vgg16-bn": partial(vgg16, batch_norm=True),
}
"""By the name that `eftrain plan --network` takes."""
