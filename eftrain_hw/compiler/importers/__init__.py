"""Networks of other frameworks, with their weights: PyTorch modules and ONNX models, and back.

Neither PyTorch nor onnx is needed before one of them is asked for.
"""

from .onnx_graph import from_onnx
from .torch_module import from_torch

__all__ = ["from_onnx", "from_torch"]
