"""Passes whose output channels are (m, rank), m being stored as an axis of pixels.

Stored is (image, rank block, row, m, column); the array makes (image, m, rank block, row, column).
"""

from dataclasses import replace

from .output import is_whole

__all__ = [
    "LOOP",
    "all_phases",
    "by_modes",
    "from_modes",
    "interleave",
    "mode_tilings",
    "phase_tilings",
]

LOOP = "mode"
"""The innermost loop of a pass that needs a command for each m, or each phase of a stride."""


def mode_tilings(run, tilings, fits, *, loop=True):
    """The tilings that a pass can take.

    Where a rank has several blocks the array's m-tiles follow each other in the rank alone, so
    that each m takes a command.

    Parameters
    ----------
    run : ArrayPass
    tilings : list of Tiling
    fits : callable
        Tiling -> bool.
    loop : bool
        Whether the pass has a command for each m then.
    """
    if run.view is None:
        return tilings
    found = [tiling for tiling in tilings if fits(tiling)]
    if not found:
        raise ValueError(f"{run.name}: the configuration can't hold one tile")
    if not loop or run.rank_blocks == 1:
        return found
    return [_with_loop(tiling, run.modes) for tiling in found]


def _with_loop(tiling, count):
    whole = {LOOP: 1}
    return replace(
        tiling,
        loops=[*tiling.loops, LOOP],
        counts=tiling.counts | {LOOP: count},
        full=tiling.full | whole,
        last=tiling.last | whole,
    )


def _has_like_phases(run):
    """Whether BP's phases differ in where they begin only: no two kernel rows meet."""
    once = run.kernel[0] == run.stride[0] > 1 and run.kernel[1] == run.stride[1] == 1
    return once and run.padding == (0, 0) and run.dilation == (1, 1) and run.parts == 1


def _are_tiles(config, run):
    """Whether the phases of a stride can be the m-tiles of a command."""
    return run.in_blocks == 1 and config.rows == config.lanes


def phase_tilings(config, run, tilings):
    """The tilings of BP, with a loop over the phases where they are alike."""
    if run.bias or not _has_like_phases(run) or _are_tiles(config, run):
        return tilings
    return [_with_loop(tiling, run.stride[0]) for tiling in tilings]


def all_phases(body, config, run, commands, width):
    """One command in the place of those of all phases, if they are alike."""
    if run.bias or not _has_like_phases(run):
        return commands
    first, (tap, row) = commands[0], (config.lanes, width)  # from one phase to the next
    if _are_tiles(config, run):
        first.values |= {"m_tiles": run.stride[0], "stationary_block_step": tap}
        first.values["accumulator_m_step"] = row
    body.step(first, "stationary_base", LOOP, tap)
    body.step(first, "accumulator_base", LOOP, row)
    return [first]


def by_modes(body, config, run, compute, group, *, stationary, accumulators):
    """Make a command one of an m, if the pass has a loop over them.

    Parameters
    ----------
    stationary, accumulators : int
        From one m to the next, in the stationary buffer and in the accumulators.
    """
    if LOOP not in body.tiling.counts:
        return
    compute.values["m_tiles"] = group.m_tiles // run.modes
    body.step(compute, "stationary_base", LOOP, stationary)
    body.step(compute, "accumulator_base", LOOP, accumulators)


def interleave(body, config, run, compute, group, images, rows):
    """Sums of FP lie in the accumulators as they are stored, where they can."""
    if run.view is None or not is_whole(config, run, body.tiling):
        return
    inner = run.view.inner
    plane = rows * run.modes * inner
    compute.values |= {
        "accumulator_inner1": plane,
        "accumulator_inner2": run.modes * inner,
        "accumulator_m_step": inner if run.rank_blocks == 1 else images * plane,
    }
    step = run.rank_blocks * compute.values["stationary_block_step"]
    by_modes(body, config, run, compute, group, stationary=step, accumulators=inner)


def from_modes(run, command, columns, plane, step):
    """BP sums over (m, rank block): the outer loops of a command.

    Parameters
    ----------
    columns, plane, step : int
        Vectors of dy from one m, one rank block to the next; vectors of the stationary buffer from
        one block to the next.
    """
    if run.view is None:
        return
    assert command.values["outer1"] == command.values["outer2"] == 1, "one tap a pixel"
    command.values |= {
        "outer0": run.modes,
        "outer1": run.rank_blocks,
        "moving_outer0": columns,
        "moving_outer1": plane,
        "stationary_outer0": run.rank_blocks * step,
        "stationary_outer1": step,
    }
