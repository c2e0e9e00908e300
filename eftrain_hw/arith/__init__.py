"""binary32 arithmetic, bfp8 encoding and alignment, dot-product units."""

from .align import VectorAlign
from .dot_bfp8 import DotPairBfp8
from .dot_fp32 import DotFp32
from .fp32_add import Fp32Add
from .fp32_compare import flush, greater, is_positive
from .fp32_divide import Fp32Divide
from .fp32_multiply import Fp32Multiply
from .fp32_sqrt import Fp32Sqrt
from .integer_to_fp32 import ScaledToFp32
from .quantise import VectorQuantise

__all__ = [
    "DotFp32",
    "DotPairBfp8",
    "Fp32Add",
    "Fp32Divide",
    "Fp32Multiply",
    "Fp32Sqrt",
    "ScaledToFp32",
    "VectorAlign",
    "VectorQuantise",
    "flush",
    "greater",
    "is_positive",
]
