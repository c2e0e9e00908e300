"""The descriptors of a program's operations and passes, in the order in which they are issued."""

from dataclasses import replace

from . import passes
from .array_op import ArrayOp
from .operations import ConcatOp, FanoutOp
from .passes import programs
from .program import LossOp, PoolOp, UpdateOp, trained_of
from .scalars import SCALARS

__all__ = ["VARIANCES", "emit", "train_name"]

VARIANCES = "variances"
"""Name of the program that runs before a step whose update has new variances of the ranks."""


def emit(program, constants):
    """Fill in `descriptors`, `tags` and `schedule` of a program.

    Only the engines that read what others write wait for them (`Dispatch`), so order makes
    overlap: pooling's gradient and the update of the layer above run beside a weight gradient.

    Parameters
    ----------
    program : Program
    constants : Constants
        Where vector programs are put.
    """
    emitter = _Emitter(program, constants)
    made = {"infer": emitter.forward(training=False)}
    forward = made["infer"]
    if emitter.depends:
        program.schedule.clear()
        forward = emitter.forward(training=True)
    known = list(program.schedule)
    kinds = [(first, update) for first in (False, True) for update in (False, True)]
    kinds = kinds if program.optimizer.accumulation > 1 else kinds[-1:]
    for first, update in kinds:
        program.schedule[:] = known  # in the end, that of "train"
        made[train_name(first, update)] = forward + emitter.backward(first, update)
    if program.bonds:
        made[VARIANCES] = emitter.variances()
    names = ["train", "infer", *(name for name in made if name not in ("train", "infer"))]
    program.descriptors = {name: _ended(made[name]) for name in names}


class _Emitter:
    """Makes descriptors; knows which engines make a tensor, and what is yet to be issued."""

    def __init__(self, program, constants):
        self.program, self.config = program, program.config
        self.batch, self.tensors = program.batch_size, program.tensors
        self.context = programs.Context(program, constants)
        self.producer = {"x": set()}
        self.riding = []  # poolings that ride on the tiles of the convolution before
        self.waiting, self.updates = [], []  # whose gradients, update come later
        self.depends = any(programs.depends_on_training(op) for op in program.ops)

    # -- what makes descriptors

    def tag(self, name):
        tag = len(self.program.tags)
        self.program.tags[tag] = name
        return tag

    def emit(self, make, name, *arguments):
        """A pass of its own."""
        result = make(self.config, *arguments, self.tag(name))
        descriptor, tiling = (result[0], result[1]) if isinstance(result, tuple) else (result, None)
        self.target.append(descriptor)
        self.program.schedule.append((name, tiling))

    def process(self, jobs, name):
        """Vector programs."""
        scalars = self.tensors.get(SCALARS)
        for descriptor in programs.process_descriptors(
            self.config, jobs, self.context.constants, scalars, lambda: self.tag(name)
        ):
            self.target.append(descriptor)
            self.program.schedule.append((name, None))

    def made_by(self, name):
        """The engines that make a tensor, its parts, or the tensor that it is a part of."""
        if name in self.producer:
            return self.producer[name]
        if self.tensors[name].view is not None:
            return self.made_by(self.tensors[name].view[0])
        parts = [made for made in self.producer if self.view_of(made) == name]
        return set().union(*(self.producer[part] for part in parts))

    def view_of(self, name):
        view = self.tensors[name].view if name in self.tensors else None
        return None if view is None else view[0]

    # -- forward

    def forward(self, training):
        self.target, self.context.training = [], training
        ops = self.program.ops[:-1]
        for op, following in zip(ops, [*ops[1:], None]):
            if isinstance(op, ArrayOp):
                self.convolution(op, following)
            elif isinstance(op, PoolOp):
                self.producer[op.y] = {"vector"}
                if op not in self.riding:
                    arguments = (op, self.batch, self.tensors)
                    self.emit(passes.pool_forward_descriptor, f"{op.name} forward", *arguments)
            elif not isinstance(op, FanoutOp):
                jobs = programs.forward_jobs(self.context, op)
                self.producer[op.y] = {"vector"}
                if isinstance(op, ConcatOp):  # what is not copied is where it has to be
                    made = [self.made_by(x) for x in op.inputs]
                    self.producer[op.y] = set().union(*made, {"vector"} if jobs else ())
                self.process(jobs, f"{op.name} forward")
        return self.target

    def convolution(self, op, following):
        self.producer[op.y] = {"drain"}
        tiling = passes.forward_tiling(self.config, op, self.batch, self.tensors)
        pool = following if isinstance(following, PoolOp) and following.x == op.y else None
        if pool is not None and passes.pools_with(tiling, pool, self.tensors):
            self.riding.append(pool)
        else:
            pool = None
        arguments = (op, self.tensors, tiling, self.made_by(op.x), pool)
        self.emit(_forward, f"{op.name} forward", *arguments)

    # -- backward

    def backward(self, first, update):
        self.target, self.first = [], first
        optimizer = self.program.optimizer
        self.at_once = optimizer.max_grad_norm is None and optimizer.accumulation == 1
        *ops, loss = self.program.ops
        self.producer[loss.gradient] = {"vector"}
        if isinstance(loss, LossOp):
            self.emit(passes.loss_descriptor, "loss", loss, self.batch, self.tensors)
        else:
            self.process(programs.loss_jobs(self.context, loss), "loss")
        for op in reversed(ops):
            trained = trained_of(op)
            if isinstance(op, ArrayOp):
                self.convolution_backward(op)
            elif isinstance(op, PoolOp):
                self.pool_backward(op)
            elif op.input_gradient or trained:
                self.program_backward(op, trained)
        self.emit_weight_gradient()
        self.emit_updates()
        if update and not self.at_once:
            self.emit_last_updates([op for op in ops if self.trained(op)])
        return self.target

    def convolution_backward(self, op):
        self.emit_weight_gradient()
        if trained_of(op):
            self.waiting.append(op)
        if op.input_gradient:
            self.producer[op.dx or f"d{op.x}"] = {"drain"}
            made_by = self.made_by(f"d{op.y}")
            arguments = (op, self.batch, self.tensors, made_by)
            self.emit(passes.backward_descriptor, f"{op.name} backward", *arguments)

    def pool_backward(self, op):
        if op.input_gradient:
            self.producer[op.dx or f"d{op.x}"] = {"vector"}
            arguments = (op, self.batch, self.tensors)
            self.emit(passes.pool_backward_descriptor, f"{op.name} backward", *arguments)

    def program_backward(self, op, trained):
        jobs = programs.backward_jobs(self.context, op)
        made = op.dx if isinstance(op.dx, list) else [op.dx or f"d{op.x}"]
        wanted = getattr(op, "wanted", [op.input_gradient])
        for name, asked in zip(made, wanted, strict=True):
            if asked and self.tensors[name].view is None:
                self.producer.setdefault(name, {"vector"})
        if jobs:
            self.process(jobs, f"{op.name} backward")
        if trained:
            self.updates.append(op)

    def emit_weight_gradient(self):
        for op in self.waiting:
            self.emit_updates()
            # BP has waited for dy
            made_by = set() if op.input_gradient else self.made_by(f"d{op.y}")
            arguments = (op, self.batch, self.tensors, made_by)
            if op.train_weight:
                make = passes.weight_gradient_descriptor
                self.emit(make, f"{op.name} weight gradient", *arguments)
            if op.train_bias and (op.transposed or not op.train_weight):
                make = passes.bias_gradient_descriptor
                self.emit(make, f"{op.name} bias gradient", *arguments)
            self.updates.append(op)
        self.waiting.clear()

    def emit_updates(self):
        for op in self.updates:
            if self.program.optimizer.is_plain and not self.has_prior(op):
                update = UpdateOp(op.name, op.key, trained_of(op))
                self.emit(passes.update_descriptor, f"{op.name} update", update, self.tensors)
            elif self.at_once:
                self.update(op)
            elif self.context.accumulates:
                make = programs.accumulate_jobs
                jobs = [make(self.context, name, self.first) for name in self.trained(op)]
                self.process(sum(jobs, []), f"{op.name} accumulation")
        self.updates.clear()

    def trained(self, op):
        """Names of an operation's parameters that are trained."""
        names = [f"{op.key}.{name}" for name in trained_of(op)]
        return [name for name in names if f"{name}.master" in self.tensors]

    def has_prior(self, op):
        """Whether an operation's parameter is a core whose ranks have a prior."""
        names = {name for bond in self.program.bonds for name in (bond.output, bond.input)}
        return any(f"{op.key}.{name}" in names for name in trained_of(op))

    def update(self, op):
        make = programs.prior_update_jobs if self.has_prior(op) else programs.update_jobs
        jobs = [make(self.context, name) for name in self.trained(op)]
        self.process(sum(jobs, []), f"{op.name} update")
        copy = self.tensors.get(f"{op.key}.weight")
        if getattr(copy, "digits", 1) == 2 and "weight" in trained_of(op):
            make = passes.low_copies_descriptor
            self.emit(make, f"{op.name} low digits", op.key, self.tensors)

    def variances(self):
        """New variances and masks of all ranks."""
        self.target, known = [], list(self.program.schedule)
        for bond in self.program.bonds:
            jobs = programs.variance_jobs(self.context, bond, self.program.prior)
            self.process(jobs, f"{bond.layer}.cores.{bond.index} ranks")
        self.program.schedule[:] = known  # that of "train"
        return self.target

    def emit_last_updates(self, ops):
        """Updates that need all gradients."""
        if self.program.optimizer.max_grad_norm is not None:
            names = [name for op in ops for name in self.trained(op)]
            self.process(programs.clip_jobs(self.context, names), "norm of the gradients")
        for op in ops:
            self.update(op)


def train_name(first, update):
    """The program of a batch whose gradients are the first, the last of those added up."""
    suffix = {(True, True): "", (True, False): "_first", (False, True): "_last"}
    return "train" + suffix.get((first, update), "_more")


def _forward(config, op, tensors, tiling, producer, pool, tag):
    """FP of a convolution: (descriptor, tiling) like the other passes."""
    make = passes.forward_descriptor
    return make(config, op, tensors, tiling, producer, pool, tag), tiling


def _ended(descriptors):
    """The same descriptors, the last one marked."""
    return [*descriptors[:-1], replace(descriptors[-1], last=True)]
