"""Which gradient is made by whom: one a user of a tensor, added up where there are several."""

from ..chain import FeatureBiasOp
from ..operations import AddOp, ConcatOp, FanoutOp

__all__ = ["connect_gradients"]


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
        if len(users) == 1:
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
