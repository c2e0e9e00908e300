"""What the makers of vector programs share: tensors, and a mask as the last step."""

from math import prod

from ....vector.assembler import A, B, Instruction
from ...operations import FanoutOp, SquaredErrorOp, VectorOp
from ...tensors import TensorSpec
from .job import make_job
from .walks import Map, map_of, straight

__all__ = ["SCRATCH", "Context", "elementwise", "scratch_spec"]

SCRATCH = "scratch"
"""Name of the tensor of fp32 vectors that a program leaves to the next one."""


class Context:
    """Where the tensors of a program are.

    Members
    -------
    config : AcceleratorConfig
    batch : int
    tensors : dict
        TensorSpec by name.
    constants : Constants
    training : bool
        Of the forward pass: statistics of the batch, dropout.
    bonds : list of Bond
        Where ranks with a prior meet.
    """

    def __init__(self, program, constants):
        self.config, self.batch = program.config, program.batch_size
        self.tensors, self.constants = program.tensors, constants
        self.optimizer, self.bonds = program.optimizer, program.bonds
        self.training = True

    def map(self, name, shape=None):
        """`Map` of a tensor; of (blocks, height, width) `shape` if that is another one."""
        return map_of(self.tensors, name, None if shape is None else (self.batch, *shape))

    def scratch(self, like):
        """A Map of fp32 vectors of the shape of another one."""
        image = prod(like.shape[1:])
        strides = (image, *like.strides[1:])
        return Map(self.tensors[SCRATCH], 0, like.shape, strides)

    def dx(self, op):
        """Map of an operation's input gradient."""
        return self.map(op.dx or f"d{op.x}", op.in_shape)

    def out(self, op, dx):
        """("e", where it goes), or ("w0", the scratch) where the input's mask comes last."""
        return ("w0", self.scratch(dx)) if op.mask else ("e", dx)

    def mask_jobs(self, op, dx):
        """Jobs that mask what `out` took to the scratch."""
        if not op.mask:
            return []
        return elementwise(
            Instruction("gate", a0=A, b0=B, c0=0.0, to=("e",)),
            a=self.scratch(dx),
            b=self.map(op.x, op.in_shape),
            e=dx,
        )

    @property
    def accumulates(self):
        """Whether several batches' gradients are added up."""
        return self.optimizer.accumulation > 1

    def gradient(self, name):
        """TensorSpec of the gradient that a parameter is updated with."""
        return self.tensors[f"{name}.{'accumulated' if self.accumulates else 'gradient'}"]

    def parameter(self, op, name):
        """TensorSpec of a tensor of an operation such as "weight.master"."""
        return self.tensors[f"{op.key}.{name}"]


def elementwise(instruction, **maps):
    """The only instruction over all elements of maps alike: a list of one Job."""
    specs = {name: each.spec for name, each in maps.items()}
    return [make_job((instruction,), (straight(**maps),), specs)]


def scratch_spec(program):
    """TensorSpec of the scratch that a program's masks and sums of many need, or None."""
    config, vectors = program.config, 0
    for op in program.ops:
        if isinstance(op, FanoutOp) and len(op.gradients) > 2:
            vectors = max(vectors, prod(program.tensors[op.dx].shape[:-1]))
        elif isinstance(op, SquaredErrorOp):
            vectors = max(vectors, prod(program.tensors[op.logits].shape[:-1]))
        elif isinstance(op, VectorOp) and op.mask and op.input_gradient:
            vectors = max(vectors, program.batch_size * prod(op.in_shape))
    for bond in program.bonds:  # a gradient and new values
        cores = (program.tensors[f"{core}.master"] for core in (bond.output, bond.input))
        vectors = max(vectors, *(2 * prod(core.shape[:-1]) for core in cores))
    if not vectors:
        return None
    return TensorSpec(SCRATCH, SCRATCH, "fp32", (vectors, config.lanes), config.format)
