"""Which gradient is made by whom: one a user of a tensor, added up where there are several."""

from ..chain import FeatureBiasOp
from ..operations import AddOp, ConcatOp, DropoutOp, FanoutOp
from ..program import ConvOp, PoolOp

__all__ = ["connect_gradients", "separate_wholes"]

_WHOLE = (PoolOp, DropoutOp)  # know no pitch: go through a tensor from end to end


def separate_wholes(state):
    """What max pooling and dropout read or write is no part of a concatenation but copied."""
    wholes = {name for op in state.ops if isinstance(op, _WHOLE) for name in (op.x, op.y)}
    for op in state.ops:
        if not isinstance(op, ConcatOp):
            continue
        for name, copied in zip(op.inputs, op.copied, strict=True):
            if name in wholes and not copied:
                state.tensors[name].view = None
        again = zip(op.inputs, op.copied, strict=True)
        op.copied = tuple(copied or name in wholes for name, copied in again)


def connect_gradients(state):
    """Name every gradient, put a FanoutOp behind tensors with several users, add the tensors.

    A gradient that would be a copy (through Add and Concat) is a view or the tensor itself.
    """
    ops = []
    for op in state.ops:
        ops.append(op)
        users = state.users.get(op.y, [])
        if not _is_wanted(users):
            continue
        copies = isinstance(op, _WHOLE) and _hands_part_down(state, *users[0])
        if len(users) == 1 and not copies:
            state.add_map(f"d{op.y}", "gradient", op.out_shape)
            _connect(state, op, *users[0], f"d{op.y}", needs_name=True)
            continue
        gradients = [
            _connect(state, op, user, which, f"d{op.y}.{number}", needs_name=False)
            for number, (user, which) in enumerate(users)
        ]
        state.add_map(f"d{op.y}", "gradient", op.out_shape)
        ops.append(FanoutOp(f"{op.name} fan-out", op.y, tuple(gradients), f"d{op.y}"))
    state.ops = ops


def _is_wanted(users):
    """Whether the users have a gradient to hand down: all do or none does."""
    return any(
        user.wanted[which]
        if isinstance(user, AddOp | ConcatOp)
        else getattr(user, "input_gradient", True)  # a loss
        for user, which in users
    )


def _hands_part_down(state, user, which):
    """Whether the gradient that a user hands down is a part of another one."""
    if isinstance(user, ConcatOp):
        return not user.masks[which]
    if isinstance(user, AddOp) and not user.masks[which]:
        above = state.users.get(user.y, [])
        return len(above) == 1 and _hands_part_down(state, *above[0])
    return False


def _connect(state, op, user, which, name, needs_name):
    """Tell a user of op's output where its gradient goes; returns the tensor's name."""
    if isinstance(user, AddOp) and not user.masks[which]:
        if not needs_name:
            user.dx[which] = f"d{user.y}"
            return f"d{user.y}"
        view = (f"d{user.y}", 0)
    elif isinstance(user, ConcatOp) and not user.masks[which]:
        view = (f"d{user.y}", sum(user.blocks[:which]))
    elif isinstance(user, FeatureBiasOp):
        view = (f"d{user.y}", 0)
    elif isinstance(user, ConvOp) and user.mask and state.tensors[op.y].view is not None:
        view = _like(state, op.y, name)
    else:
        view = None
    if name not in state.tensors:
        state.add_map(name, "gradient", op.out_shape)
    state.tensors[name].view = view
    if isinstance(user, AddOp | ConcatOp):
        user.dx[which] = name
    elif name != f"d{op.y}":
        user.dx = name
    return name


def _like(state, tensor, name):
    """A place for a gradient at the pitch of the concatenation that its tensor is a part of: the
    drain reads its mask there. Returns its view."""
    spec, start = state.tensors[tensor], 0
    while spec.view is not None:
        whole, block = spec.view
        spec, start = state.tensors[whole], start + block
    state.add_map(f"{name}.whole", "gradient", spec.shape[1:-1])
    state.tensors[f"{name}.whole"].kind = "container"
    return (f"{name}.whole", start)
