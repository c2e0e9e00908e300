"""A vector program with the tensors that it streams, and the command that runs it."""

from dataclasses import dataclass, field

from ....sequencer.program_format import LOOPS, Command, Descriptor
from ....vector.assembler import VectorProgram
from ....vector.commands import LINE_BYTES, PROCESS
from ...timing.process import process_work

__all__ = ["Job", "make_job", "process_descriptors"]

_KINDS = {"blocked": "elements", "fp32": "raw", "bytes": "bytes"}
_STREAMS = ("a", "b", "c", "e", "w0", "w1")
_HEADER, _COMMAND = 12, PROCESS.words + 2  # words of a descriptor


@dataclass(frozen=True)
class Job:
    """One PROCESS command.

    Members
    -------
    program : VectorProgram
    tensors : dict
        TensorSpec by stream: vector index 0 is its first vector.
    count : int
        Iterations of the outer loop.
    scalars : int or None
        Line of the tensor "scalars" that it reads.
    """

    program: VectorProgram
    tensors: dict = field(default_factory=dict)
    count: int = 1
    scalars: int | None = None


def make_job(instructions, extents, tensors, *, count=1, outer=None, scalars=None):
    """A Job whose streams' kinds are those of its tensors.

    Parameters
    ----------
    instructions : sequence of Instruction
    extents : sequence of Extent
    tensors : dict
        TensorSpec by stream; those that no instruction uses are left out.
    outer : dict or None
        Vectors by which streams move with the outer loop.
    """
    used = {
        name: spec
        for name, spec in tensors.items()
        if any(instruction.uses(name) for instruction in instructions)
    }
    kinds = {name: _KINDS[spec.storage] for name, spec in used.items() if name != "e"}
    moves = {name: step for name, step in (outer or {}).items() if name in used}
    program = VectorProgram(tuple(instructions), tuple(extents), kinds, moves)
    return Job(program, used, count, scalars)


def process_descriptors(config, jobs, images, scalars, tags):
    """Descriptors that run jobs one after another, as many as their length asks for.

    Parameters
    ----------
    config : AcceleratorConfig
    jobs : list of Job
    images : Constants
        Where the programs are put.
    scalars : TensorSpec or None
        The tensor "scalars".
    tags : callable
        tags() is the tag of the next descriptor.
    """
    commands = [_command(config, job, images, scalars) for job in jobs]
    most = max(1, (config.descriptor_words // 2 - _HEADER) // _COMMAND)
    return [
        Descriptor(tags(), [1] * LOOPS, commands[start : start + most])
        for start in range(0, len(commands), most)
    ]


def _command(config, job, images, scalars):
    words = job.program.words(config.lanes)
    values = {
        "program": images.add(words).address // LINE_BYTES,
        "program_words": len(words),
        "count": job.count,
    }
    if job.scalars is not None:
        values["use_scalars"] = 1
        values["scalars"] = scalars.address // LINE_BYTES + job.scalars
    for name in _STREAMS:
        spec = job.tensors.get(name)
        if spec is None:
            continue
        values[name] = spec.address // LINE_BYTES
        if name in ("a", "b", "e") and spec.has_exponents:
            values[f"{name}_exponents"] = spec.exponent_address // LINE_BYTES
    return Command(PROCESS, values, work=process_work(config, job.program, job.count))
