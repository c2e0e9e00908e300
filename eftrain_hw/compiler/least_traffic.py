"""The least DRAM traffic that the buffers allow for a pass."""

from math import ceil

from .tiling import wide_of

__all__ = ["least_bytes", "least_of"]


def least_of(stationary, moving, rows, columns, slots, sums):
    """Least bytes that are read by a pass whose result has `rows` x `columns` sums.

    Each stationary byte serves a row for all columns, each moving byte a column for all rows. What
    is used again has to wait in one of three places, and a loop nest can use one of them fully:

    - all of an operand fits into a slot: both operands are read once;
    - a part of the stationary operand stays while the moving one passes: the stationary operand is
      read once, the moving one for each part;
    - the same with the operands exchanged;
    - sums of some rows and columns stay in a bank while both operands pass: the stationary operand
      is read for each group of columns, the moving one for each group of rows.

    The best of them, with tiles of any size, without halos, rounding of tiles or partial bus words,
    is the bound.

    Parameters
    ----------
    stationary, moving : int
        Bytes of the operands.
    rows, columns : int
        Of the result.
    slots : (int, int)
        Bytes of a slot of the stationary and of the moving buffer.
    sums : int
        Of an accumulator bank.

    Returns
    -------
    int
    """
    held = [
        stationary + ceil(stationary / slots[0]) * moving,
        moving + ceil(moving / slots[1]) * stationary,
    ]
    for groups in range(1, rows + 1):
        tile = ceil(rows / groups)
        if tile > sums:
            continue
        held.append(ceil(columns / (sums // tile)) * stationary + groups * moving)
        if groups * moving > min(held):
            break
    return min(held)


def _touched(size, out, kernel, stride, dilation):
    """Rows (or columns) of a map that any of `out` windows covers."""
    if dilation > 1:  # of a kernel that starts at the first one, for lack of a better one
        reached = {o * stride + k * dilation for o in range(out) for k in range(kernel)}
        return min(size, len(reached))
    return min(size, out * kernel if kernel < stride else size)


def least_bytes(config, op, batch, pass_name):
    """Bytes that a pass of a convolution has to move at least: operands, result, mask, biases.

    Parameters
    ----------
    config : AcceleratorConfig
    op : ConvOp
    batch : int
    pass_name : str
        "forward", "backward", "weight gradient" or "bias gradient".
    """
    lanes, vector = config.lanes, config.vector_bytes + config.has_exponents
    small, large = op.out_shape, op.in_shape  # of the convolution that the weights describe
    if op.transposed:
        small, large = large, small
    in_blocks, height, width = large[0] // op.parts, *large[1:]
    out_blocks, out_height, out_width = small[0] // op.parts, *small[1:]
    used = 1
    for axis in zip((height, width), (out_height, out_width), op.kernel, op.stride, op.dilation):
        used *= _touched(*axis)
    moving, stationary = wide_of(op, pass_name.replace(" ", "_"))
    x = batch * in_blocks * used * vector
    dx = batch * in_blocks * height * width
    y = batch * out_blocks * out_height * out_width
    taps = op.kernel[0] * op.kernel[1]
    weights = out_blocks * in_blocks * taps * lanes
    inputs, outputs = in_blocks * lanes, out_blocks * lanes
    slots = [
        words * config.bus_bytes // 2 * lanes * vector // config.vector_bytes
        for words in (config.stationary_words, config.moving_words)
    ]
    sums = config.rows * config.accumulator_depth
    biases = 4 * lanes * op.out_shape[0] * op.bias
    if pass_name == "bias gradient":
        wide = wide_of(op, "weight_gradient")[not op.transposed]
        dy = batch * op.out_shape[0] * op.out_shape[1] * op.out_shape[2]
        return (1 + wide) * dy * vector + biases
    if pass_name == "weight gradient":
        dy, x = (1 + stationary) * y * vector, (1 + moving) * x
        read = least_of(dy, x, outputs, inputs * taps, slots, sums)
        mask = config.vector_bytes * weights * (op.groups > 1)
        alone = op.transposed or not op.train_bias
        return op.parts * (read + mask + 4 * lanes * weights) + biases * (not alone)
    held = (1 + stationary) * weights * vector
    if (pass_name == "forward") != op.transposed:
        read = least_of(held, (1 + moving) * x, outputs, y // out_blocks, slots, sums)
        results = y
    else:
        read = least_of(held, (1 + moving) * y * vector, inputs, dx // in_blocks, slots, sums)
        results = dx
    if pass_name == "forward":
        stored = vector + config.vector_bytes * (op.y_format == "bfp16")
        return op.parts * (read + results * (4 * lanes if op.raw else stored)) + biases
    stored = vector + config.vector_bytes * (op.dx_format == "bfp16")
    masks = config.vector_bytes * op.mask * (1 + (op.dx_format == "bfp16"))
    return op.parts * (read + results * (stored + masks))
