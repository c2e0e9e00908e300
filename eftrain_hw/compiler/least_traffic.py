"""The least DRAM traffic that the buffers allow for a pass."""

from math import ceil

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


def _touched(size, out, kernel, stride):
    """Rows (or columns) of a map that any of `out` windows covers."""
    return min(size, out * kernel if kernel < stride else size)


def least_bytes(config, op, batch, pass_name):
    """Bytes that a pass of a convolution has to move at least: operands, result, mask, biases.

    Parameters
    ----------
    config : AcceleratorConfig
    op : ConvOp
    batch : int
    pass_name : str
        "forward", "backward" or "weight gradient".
    """
    lanes, vector = config.lanes, config.vector_bytes + config.has_exponents
    in_blocks, height, width = op.in_shape
    out_blocks, out_height, out_width = op.out_shape
    used = _touched(height, out_height, op.kernel[0], op.stride[0])
    used *= _touched(width, out_width, op.kernel[1], op.stride[1])
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
    if pass_name == "forward":
        read = least_of(weights * vector, x, outputs, y // out_blocks, slots, sums)
        stored = y * (4 * lanes if op.raw else vector)
        return read + stored + 4 * outputs * op.bias
    if pass_name == "backward":
        read = least_of(weights * vector, y * vector, inputs, dx // in_blocks, slots, sums)
        return read + dx * (vector + config.vector_bytes * op.mask)
    read = least_of(y * vector, x, outputs, inputs * taps, slots, sums)
    return read + 4 * lanes * (weights + out_blocks * op.bias)
