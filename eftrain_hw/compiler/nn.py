"""Network descriptions, with PyTorch's names, argument names and weight shapes."""

from dataclasses import dataclass, field

__all__ = [
    "Conv2d",
    "CrossEntropyLoss",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "Module",
    "ReLU",
    "Sequential",
]

MAX_KERNEL = 11
MAX_STRIDE = 4


def _pair(owner, name, value, least, most=None):
    values = (value, value) if isinstance(value, int) else value
    if not (
        isinstance(values, tuple | list)
        and len(values) == 2
        and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    ):
        raise TypeError(f"{owner}.{name} must be an integer or a pair of them, not {value!r}")
    if any(v < least or (most is not None and v > most) for v in values):
        limit = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{owner}.{name} must be {limit}, not {value!r}")
    return tuple(values)


def _count(owner, name, value):
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{owner}.{name} must be an integer, not {value!r}")
    if not 1 <= value <= 65535:
        raise ValueError(f"{owner}.{name} must be 1 to 65535, not {value!r}")
    return value


class Module:
    """A layer: what it makes of a shape, and the shapes of its parameters.

    Shapes exclude the batch: (channels, height, width), or (features,) after Flatten.
    """

    def output_shape(self, shape):
        """The output's shape for an input's shape; ValueError where they don't fit."""
        raise NotImplementedError

    def parameters(self):
        """PyTorch's parameter names and shapes."""
        return {}


@dataclass(frozen=True)
class Conv2d(Module):
    """2-D convolution (cross-correlation) with zero padding, as torch.nn.Conv2d.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (int, int)
        1 to 11.
    stride : int or (int, int)
        1 to 4.
    padding : int or (int, int)
        0 or more, less than the kernel.
    bias : bool
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple
    stride: int | tuple = 1
    padding: int | tuple = 0
    bias: bool = True

    def __post_init__(self):
        _count("Conv2d", "in_channels", self.in_channels)
        _count("Conv2d", "out_channels", self.out_channels)
        kernel = _pair("Conv2d", "kernel_size", self.kernel_size, 1, MAX_KERNEL)
        object.__setattr__(self, "kernel_size", kernel)
        object.__setattr__(self, "stride", _pair("Conv2d", "stride", self.stride, 1, MAX_STRIDE))
        padding = _pair("Conv2d", "padding", self.padding, 0)
        if any(p >= k for p, k in zip(padding, kernel, strict=True)):
            raise ValueError(
                f"Conv2d.padding must be less than the kernel {kernel}, not {self.padding!r}"
            )
        object.__setattr__(self, "padding", padding)

    def output_shape(self, shape):
        if len(shape) != 3 or shape[0] != self.in_channels:
            raise ValueError(
                f"input must be ({self.in_channels} channels, height, width), not {tuple(shape)}"
            )
        sizes = []
        for size, kernel, stride, padding in zip(
            shape[1:], self.kernel_size, self.stride, self.padding, strict=True
        ):
            if kernel > size + 2 * padding:
                raise ValueError(
                    f"kernel {self.kernel_size} must not be larger than the padded input,"
                    f" {shape[1] + 2 * self.padding[0]}x{shape[2] + 2 * self.padding[1]}"
                )
            sizes.append((size + 2 * padding - kernel) // stride + 1)
        return (self.out_channels, *sizes)

    def parameters(self):
        shapes = {"weight": (self.out_channels, self.in_channels, *self.kernel_size)}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes


@dataclass(frozen=True)
class Linear(Module):
    """Fully connected layer, as torch.nn.Linear.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    """

    in_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self):
        _count("Linear", "in_features", self.in_features)
        _count("Linear", "out_features", self.out_features)

    def output_shape(self, shape):
        if len(shape) != 1 or shape[0] != self.in_features:
            hint = "; put Flatten before it" if len(shape) == 3 else ""
            raise ValueError(f"input must be ({self.in_features},), not {tuple(shape)}{hint}")
        return (self.out_features,)

    def parameters(self):
        shapes = {"weight": (self.out_features, self.in_features)}
        if self.bias:
            shapes["bias"] = (self.out_features,)
        return shapes


@dataclass(frozen=True)
class ReLU(Module):
    """max(x, 0)."""

    def output_shape(self, shape):
        return tuple(shape)


@dataclass(frozen=True)
class MaxPool2d(Module):
    """Maximum over windows that do not overlap, as torch.nn.MaxPool2d(kernel_size).

    Parameters
    ----------
    kernel_size : int or (int, int)
        1 to 15, at most 255 positions.
    stride : int, (int, int) or None
        The kernel's size, or None, which means the same.
    """

    kernel_size: int | tuple
    stride: int | tuple | None = None

    def __post_init__(self):
        kernel = _pair("MaxPool2d", "kernel_size", self.kernel_size, 1, 15)
        stride = kernel if self.stride is None else _pair("MaxPool2d", "stride", self.stride, 1)
        if stride != kernel:
            raise ValueError(
                f"MaxPool2d.stride must be the kernel's size {kernel} (windows that do not"
                f" overlap), not {self.stride!r}"
            )
        object.__setattr__(self, "kernel_size", kernel)
        object.__setattr__(self, "stride", stride)

    def output_shape(self, shape):
        if len(shape) != 3:
            raise ValueError(f"input must be (channels, height, width), not {tuple(shape)}")
        if any(k > size for k, size in zip(self.kernel_size, shape[1:], strict=True)):
            raise ValueError(
                f"kernel {self.kernel_size} must not be larger than the input,"
                f" {shape[1]}x{shape[2]}"
            )
        sizes = (size // k for k, size in zip(self.kernel_size, shape[1:], strict=True))
        return (shape[0], *sizes)


@dataclass(frozen=True)
class Flatten(Module):
    """(channels, height, width) to (features,), as torch.nn.Flatten()."""

    def output_shape(self, shape):
        features = 1
        for size in shape:
            features *= size
        return (features,)


@dataclass(frozen=True)
class CrossEntropyLoss:
    """Softmax cross-entropy, mean over the batch, as torch.nn.CrossEntropyLoss()."""


@dataclass(frozen=True, init=False)
class Sequential(Module):
    """Layers one after the other.

    Parameters
    ----------
    *layers : Module
    input_shape : (int, int, int) or (int,)
        Channels, height and width of one sample; or its features.
    """

    layers: tuple
    input_shape: tuple = field(default=None)

    def __init__(self, *layers, input_shape):
        if not layers:
            raise ValueError("Sequential must have at least one layer")
        for index, layer in enumerate(layers):
            if not isinstance(layer, Module) or isinstance(layer, Sequential):
                allowed = [
                    name
                    for name in __all__
                    if name not in ("Module", "Sequential", "CrossEntropyLoss")
                ]
                raise TypeError(f"layer {index} must be one of {allowed}, not {layer!r}")
        shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
        if len(shape) not in (1, 3) or any(
            not isinstance(size, int) or not 1 <= size <= 65535 for size in shape
        ):
            raise ValueError(
                "Sequential.input_shape must be (channels, height, width) or (features,),"
                f" not {input_shape!r}"
            )
        object.__setattr__(self, "layers", tuple(layers))
        object.__setattr__(self, "input_shape", shape)
        self.shapes()

    def __iter__(self):
        return iter(self.layers)

    def __len__(self):
        return len(self.layers)

    def shapes(self):
        """Input shape and the output shape of each layer; ValueError names the layer."""
        shapes = [self.input_shape]
        for index, layer in enumerate(self.layers):
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except ValueError as error:
                raise ValueError(f"layer {index} ({type(layer).__name__}): {error}") from None
        return shapes

    def output_shape(self, shape):
        if tuple(shape) != self.input_shape:
            raise ValueError(f"input must be {self.input_shape}, not {tuple(shape)}")
        return self.shapes()[-1]

    def parameters(self):
        """Every parameter's PyTorch name ("0.weight") and shape."""
        return {
            f"{index}.{name}": shape
            for index, layer in enumerate(self.layers)
            for name, shape in layer.parameters().items()
        }
