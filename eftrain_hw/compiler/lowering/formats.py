"""Which tensors are stored in bfp16: those that a pass in bfp16 reads, if their maker can."""

from ..program import ConvOp, LossOp, PoolOp

__all__ = ["assign_formats"]


def assign_formats(state):
    """Give passes their operands' digits and tensors their formats.

    `state.ops` are complete, the loss last; the convolutions' `formats` say what is asked for. The
    array, the host, the loss, the update and max pooling of a tensor in bfp16 make low digits;
    vector programs neither make nor read them: their tensors stay in bfp8, and so do parts of other
    tensors.

    Returns
    -------
    bool
        Whether anything is in bfp16.
    """
    convolutions = [op for op in state.ops if isinstance(op, ConvOp)]
    pools = [op for op in state.ops if isinstance(op, PoolOp)]
    wanted = set()
    for op in convolutions:
        wanted |= _operands(op)
    for op in reversed(pools):  # the largest of bfp16 comes from bfp16
        if op.y in wanted:
            wanted.add(op.x)
    for op in pools:
        if _dx(op) in wanted:
            wanted.add(f"d{op.y}")
    wide = wanted - _of_vector_programs(state)
    for op in pools:
        if op.x not in wide:
            wide.discard(op.y)
    for op in reversed(pools):
        if f"d{op.y}" not in wide:
            wide.discard(_dx(op))
    for name in wide:
        state.tensors[name].format = "bfp16"
    for op in pools:
        op.wide = op.x in wide and op.y in wide
        op.wide_gradient = f"d{op.y}" in wide and _dx(op) in wide
    for op in convolutions:
        op.wide = {
            name: tuple(op.formats[name] == "bfp16" and side in wide for side in sides)
            for name, sides in _sides(op).items()
        }
        op.y_format = state.tensors[op.y].format
        if op.input_gradient:
            op.dx_format = state.tensors[_dx(op)].format
    return bool(wide)


def _dx(op):
    return op.dx or f"d{op.x}"


def _sides(op):
    """(moving, stationary) operand of each pass."""
    weight, dy = f"{op.key}.weight", f"d{op.y}"
    gradient = (dy, op.x) if op.transposed else (op.x, dy)
    return {"forward": (op.x, weight), "backward": (dy, weight), "weight_gradient": gradient}


def _operands(op):
    """Tensors that its passes in bfp16 read."""
    sides = _sides(op)
    done = {
        "forward": True,
        "backward": op.input_gradient,
        "weight_gradient": op.train_weight,
    }
    found = set()
    for name, there in done.items():
        if there and op.formats[name] == "bfp16":
            found |= set(sides[name])
    if op.bias and op.train_bias and op.formats["weight_gradient"] == "bfp16":
        found.add(f"d{op.y}")
    return found


def _of_vector_programs(state):
    """Tensors that vector programs read or make, and those that are parts or have parts."""
    found = set()
    for op in state.ops:
        if isinstance(op, ConvOp | PoolOp | LossOp):
            continue
        for value in vars(op).values():
            names = value if isinstance(value, list | tuple) else [value]
            found |= {name for name in names if isinstance(name, str)}
    found |= {f"d{name}" for name in found}
    for spec in state.tensors.values():
        if spec.view is not None:
            found |= {spec.name, spec.view[0]}
    return found
