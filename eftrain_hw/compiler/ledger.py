"""Every byte that a training step needs, by tensor and kind, and those of its dense twin."""

from dataclasses import dataclass
from math import prod

from . import nn
from .chain import FeatureBiasOp, TTStepOp
from .compile import compile_network, prepare
from .program import ConvOp
from .rebuild import dense_twin

__all__ = ["Entry", "Ledger", "memory_ledger", "twin_ledger"]

KINDS = ("weights", "master", "gradients", "optimizer state", "activations", "program")
_KIND_OF = {
    "weight": "weights", "mask": "weights", "master": "master", "running": "master",
    "gradient": "gradients", "container": "gradients", "weight_gradient": "gradients",
    "program": "program",
    "momentum": "optimizer state", "exp_avg": "optimizer state", "exp_avg_sq": "optimizer state",
    "variance": "optimizer state",
}  # fmt: skip
# of 12 descriptors of a network of three Linear layers, 4 lanes, batch 1, as compiled
_PASS_BYTES, _VECTOR_BYTES = 570, 110
_NEEDS_OWN_OUTPUT = (ConvOp, TTStepOp, FeatureBiasOp)


@dataclass
class Entry:
    """A tensor in the ledger.

    Members
    -------
    name, kind : str
        `kind` is one of KINDS.
    nbytes : int
        Packed, exponents included.
    start, end : int
        First and last moment at which it is needed. Moments: 0 .. n - 1 the forward passes of n
        operations, n the loss, 2 n - i the backward pass of operation i and its update.
    """

    name: str
    kind: str
    nbytes: int
    start: int
    end: int


@dataclass
class Ledger:
    """All tensors of a training step.

    Members
    -------
    entries : list of Entry
    programs_counted : bool
        Whether the layer programs are among them: the accelerator has none for narrow widths.
    program_estimate : int
        Bytes of the training program in the configuration's own format; 0 where it is counted.
    """

    entries: list
    programs_counted: bool = True
    program_estimate: int = 0

    @property
    def by_kind(self):
        """Bytes of each kind, every tensor in a place of its own."""
        return {kind: sum(e.nbytes for e in self.entries if e.kind == kind) for kind in KINDS}

    @property
    def total(self):
        """Bytes with every tensor in a place of its own."""
        return sum(entry.nbytes for entry in self.entries)

    @property
    def shared(self):
        """Bytes where tensors that are not needed at the same time share their place.

        The largest first, each at the lowest address that is free while it is needed.
        """
        placed, most = [], 0
        for entry in sorted(self.entries, key=lambda e: (-e.nbytes, e.name)):
            at = 0
            for start, end, other in sorted(placed, key=lambda item: item[0]):
                apart = other.end < entry.start or entry.end < other.start
                if not apart and start < at + entry.nbytes and at < end:
                    at = end
            placed.append((at, at + entry.nbytes, entry))
            most = max(most, at + entry.nbytes)
        return most

    def to_dict(self):
        tensors = [{"name": e.name, "kind": e.kind, "bytes": e.nbytes} for e in self.entries]
        return {
            "tensors": tensors, "by_kind": self.by_kind, "total_bytes": self.total,
            "shared_bytes": self.shared, "programs_counted": self.programs_counted,
            "program_estimate_bytes": self.program_estimate,
        }  # fmt: skip


def _keeps_gradients(optimizer):
    """Whether all gradients must be there before the first update."""
    return optimizer.max_grad_norm is not None or optimizer.accumulation > 1


def _has_momentum(optimizer):
    return bool(getattr(optimizer, "momentum", True))


def memory_ledger(
    network, config, *, batch_size, loss, optimizer, precision=None, prior=None, format=None
):
    """What a training step on the accelerator keeps in memory.

    Every tensor of the program counts as it lies in memory, lanes without a channel and exponents
    included, packed at its width. A weight gradient is needed until its update, right behind the
    backward pass of its operation, unless gradients are clipped or accumulated.

    Parameters
    ----------
    network, config, batch_size, loss, optimizer, precision, prior, format
        As `prepare`.

    Returns
    -------
    Ledger
    """
    settings = {"batch_size": batch_size, "loss": loss, "optimizer": optimizer, "format": format}
    compiled = _compiled(network, config, prior=prior, **settings)
    counted = precision is None and compiled is not None
    program = compiled
    if not counted:
        program = prepare(network, config, precision=precision, prior=prior, **settings)
    lives = _lives(program)
    entries = []
    for name, spec in program.tensors.items():
        if spec.view is not None or name == "program.infer":
            continue
        kind = _KIND_OF.get(spec.kind, "activations")
        trains = any(name.startswith(f"{op.key}.") for op in program.ops
                     if isinstance(op, TTStepOp | FeatureBiasOp))  # fmt: skip
        if spec.kind == "momentum" and trains and not _has_momentum(optimizer):
            continue
        entries.append(Entry(name, kind, spec.packed_nbytes, *lives[name]))
    estimate = 0
    if not counted:
        estimate = _program_estimate(program) if compiled is None else _program_bytes(compiled)
    return Ledger(entries, counted, estimate)


def _compiled(network, config, **settings):
    """The compiled network, vector programs allowed if it needs them; None where there are no
    descriptors for it yet."""
    names = [type(node.layer) for node in network.nodes]
    if not {nn.TTLinear, nn.TTConv2d} & set(names):
        return compile_network(network, config, **settings)
    for allowed in (config, config.replace(vector_programs=True)):
        try:
            return compile_network(network, allowed, **settings)
        except ValueError:
            continue
    return None


def _program_bytes(compiled):
    """Of what a training step runs: its program, vector programs and their constants."""
    specs = compiled.tensors.values()
    return sum(s.nbytes for s in specs if s.kind == "program" and s.name != "program.infer")


def _program_estimate(program):
    """Bytes of a training program that can't be compiled yet, by the sizes that descriptors of
    dense layers have."""
    passes, vectors = 0, 1  # the loss
    for op in program.ops[:-1]:
        own = getattr(op, "trained_names", None)
        trains = bool(own) if own is not None else getattr(op, "train_weight", False)
        if isinstance(op, ConvOp | TTStepOp):
            passes += 1 + bool(op.input_gradient) + trains
        else:
            vectors += 1 + bool(op.input_gradient)
        vectors += trains
    return passes * _PASS_BYTES + vectors * _VECTOR_BYTES


def _lives(program):
    """(start, end) of every tensor of a program, see Entry."""
    ops = program.ops[:-1]
    n = len(ops)
    whole, lives = (0, 2 * n), {}
    made = {op.y: i for i, op in enumerate(ops) if hasattr(op, "y")}
    readers = {}
    for i, op in enumerate(ops):
        for name in getattr(op, "inputs", None) or (op.x,):
            readers.setdefault(name, []).append(i)
    for name, spec in program.tensors.items():
        lives[name] = whole
        base = name.removesuffix(".index")
        if spec.kind == "activation":
            start, users = made.get(name, 0), readers.get(name, [])
            bias = all(isinstance(ops[i], FeatureBiasOp) for i in users)
            end = max(users, default=n) if bias else 2 * n - min(users)
            if name in made and not isinstance(ops[start], _NEEDS_OWN_OUTPUT):
                end = max(end, 2 * n - start)
            lives[name] = (start, end)
        elif spec.kind in ("index", "logits") and base in made:
            lives[name] = (made[base], n if spec.kind == "logits" else 2 * n - made[base])
        elif spec.kind in ("labels", "targets"):
            lives[name] = (0, n)
        elif spec.kind == "loss":
            lives[name] = (n, 2 * n)
        elif spec.kind in ("gradient", "container"):
            parts = base[1:]
            while parts not in made:  # "dy3.0": the gradient that one of several users makes
                parts = parts.rpartition(".")[0]
            users = readers.get(parts, [])
            lives[name] = (2 * n - max(users) if users else n, 2 * n - made[parts])
        elif spec.kind == "weight_gradient" and not _keeps_gradients(program.optimizer):
            key, _, own = name.removesuffix(".gradient").rpartition(".")
            owner = next(i for i, op in enumerate(ops) if getattr(op, "key", None) == key
                         and own in getattr(op, "owned", (own,)))  # fmt: skip
            lives[name] = (2 * n - owner, 2 * n - owner)
    for name, spec in program.tensors.items():
        if spec.view is not None:
            whole_of = spec.view[0]
            start, end = zip(lives[name], lives[whole_of], strict=True)
            lives[whole_of] = (min(start), max(end))
    return lives


def twin_ledger(network, *, batch_size, optimizer):
    """What a training step of a dense network in fp32 needs, as small as can be.

    Weights once (they are the master), gradients, the optimizer's state, the output and its
    gradient of every layer but those that can work in place (ReLU, Flatten, Identity), no padding,
    no program.

    Returns
    -------
    Ledger
    """
    network = dense_twin(network)
    free = (nn.ReLU, nn.Flatten, nn.Identity)
    nodes = [node for node in network.nodes if not isinstance(node.layer, free)]
    n, entries = len(nodes), []
    states = [s for s in optimizer.STATE if s != "momentum" or _has_momentum(optimizer)]
    places = {node.name: i for i, node in enumerate(nodes)}

    def users(name):
        found = []
        for node in network.users(name):
            found += users(node.name) if isinstance(node.layer, free) else [places[node.name]]
        return found

    first = 2 * n - min(users(nn.INPUT))
    entries.append(Entry("x", "activations", 4 * batch_size * prod(network.input_shape), 0, first))
    for i, node in enumerate(nodes):
        size, using = 4 * batch_size * prod(node.shape), users(node.name)
        last, following = 2 * n - min(using, default=n), 2 * n - max(using, default=n)
        entries.append(Entry(node.name, "activations", size, i, last))
        entries.append(Entry(f"d{node.name}", "gradients", size, following, 2 * n - i))
        for name, shape in node.layer.parameters().items():
            full, size = f"{node.name}.{name}", 4 * prod(shape)
            entries.append(Entry(full, "weights", size, 0, 2 * n))
            keeps = _keeps_gradients(optimizer)
            start, end = (n, 2 * n) if keeps else (2 * n - i, 2 * n - i)
            entries.append(Entry(f"{full}.gradient", "gradients", size, start, end))
            for state in states:
                entries.append(Entry(f"{full}.{state}", "optimizer state", size, 0, 2 * n))
    return Ledger(entries)
