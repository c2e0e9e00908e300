"""Vector programs and other constants in DRAM, each once."""

import numpy as np

from ...tensors import TensorSpec

__all__ = ["Constants"]


class Constants:
    """What is put behind the tensors of a program while its descriptors are made.

    Parameters
    ----------
    program : Program
        Its `tensors`, `constants` and `memory_bytes` grow.
    place : callable
        place(spec, start) puts a tensor at a byte address and returns the end.
    """

    def __init__(self, program, place):
        self._program, self._place = program, place
        self._known = {}

    def add(self, words):
        """The TensorSpec of a vector program's words."""
        return self._add("vector", "words", np.array(words, np.uint32))

    def add_vectors(self, array):
        """The TensorSpec of float32 (..., lanes)."""
        return self._add("constant", "fp32", np.ascontiguousarray(array, np.float32))

    def _add(self, prefix, storage, array):
        key = prefix, array.shape, array.tobytes()
        if key not in self._known:
            program = self._program
            name = f"{prefix}.{sum(known[0] == prefix for known in self._known)}"
            spec = TensorSpec(name, "program", storage, array.shape, program.config.format)
            program.memory_bytes = self._place(spec, program.memory_bytes)
            program.tensors[name], program.constants[name] = spec, array
            self._known[key] = spec
        return self._known[key]
