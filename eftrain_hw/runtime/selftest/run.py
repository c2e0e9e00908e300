"""Runs the self-test on a device and says what differs."""

import time
from dataclasses import dataclass, field

import numpy as np

from ...csr.registers import capabilities
from ...formats import Blocked
from ..device import DeviceError
from .answers import answers_for
from .cases import make_cases

__all__ = ["Outcome", "report_table", "run_selftest"]

_UNTOUCHED = 0xA5  # what results hold before a run
_SHOWN = 5  # differing tensors of a case


@dataclass
class Outcome:
    """What came of a case.

    Members
    -------
    name : str
    passed : bool or None
        None: the device has nothing of the kind.
    detail : str
        What was compared.
    cycles : int
    seconds : float
    problems : list of str
        What differs.
    """

    name: str
    passed: bool
    detail: str = ""
    cycles: int = 0
    seconds: float = 0.0
    problems: list = field(default_factory=list)


def _registers(device):
    """Constants as the configuration says; writable registers hold what is written."""
    host = getattr(device, "host", None)
    if host is None:
        return Outcome("registers", None, "the device has none")
    problems, count = [], 0
    for name, expected in capabilities(device.config).items():
        count += 1
        if name != "version" and host.read(name) != expected:
            problems.append(f"{name} reads {host.read(name):#x}, not {expected:#x}")
    patterns = [0, 0xFFFFFFFF, 0x55555555, 0xAAAAAAAA, *(1 << bit for bit in range(32))]
    for name, mask in (
        ("scratch", 0xFFFFFFFF),
        ("learning_rate", 0xFFFFFFFF),
        ("momentum", 0xFFFFFFFF),
        ("valid_images", 0xFFFF),
    ):
        count += 1
        for pattern in patterns:
            host.write(name, pattern)
            found = host.read(name)
            if found != pattern & mask:
                problems.append(f"{name} reads {found:#x} after {pattern & mask:#x} was written")
                break
    if not host.read_field("status", "idle"):
        problems.append(f"status is {' '.join(host.status())}, not idle")
    return Outcome("registers", not problems, f"{count} registers", problems=problems)


def _planes(value):
    """(what, array) of a tensor's parts."""
    if not isinstance(value, Blocked):
        return [("", value)]
    parts = [("", value.elements)]
    return parts + ([(" exponents", value.exponents)] if value.exponents is not None else [])


def _bits(array):
    array = np.ascontiguousarray(array)
    return array.view(np.uint32) if array.dtype.itemsize == 4 else array.view(np.uint8)


def _differences(name, found, expected):
    problems = []
    for (what, ours), (_, theirs) in zip(_planes(found), _planes(expected)):
        wrong = _bits(ours) != _bits(np.asarray(theirs).reshape(ours.shape))
        if wrong.any():
            first = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            problems.append(
                f"{name}{what} {list(ours.shape)} differs in {int(wrong.sum())} of {wrong.size}"
                f" places, first at {list(first)}: {ours[first]!s}, not {theirs[first]!s}"
            )
    return problems


def _nbytes(value):
    return sum(array.nbytes for _, array in _planes(value))


def _fill(device, program, name):
    spec = program.tensors[name]
    garbage = bytes([_UNTOUCHED]) * max(spec.nbytes, spec.exponent_nbytes)
    value = spec.from_bytes(
        garbage[: spec.nbytes], garbage[: spec.exponent_nbytes] if spec.has_exponents else None
    )
    device.write_tensor(name, value)


def _compare(case, found, expected):
    problems = []
    for name in case.results:
        ours, theirs = found[name], expected[name]
        if case.program.tensors[name].kind == "loss":  # the padding between is nobody's
            kept = [*range(case.program.batch_size), -16]
            ours, theirs = ours[kept], np.asarray(theirs)[kept]
        problems += _differences(name, ours, theirs)
    hidden = len(problems) - _SHOWN
    return problems[:_SHOWN] + ([f"and {hidden} more"] if hidden > 0 else [])


def _run_case(case, device, operands, expected):
    start = time.perf_counter()
    detail = f"{sum(_nbytes(expected[name]) for name in case.results):,} bytes"
    outcome = Outcome(case.name, False, detail)
    try:
        if device.name == "golden":
            found = case.golden(operands)
        else:
            device.load_program(case.program)
            for name in case.results:
                if name not in operands:
                    _fill(device, case.program, name)
            for name, value in operands.items():
                device.write_tensor(name, value)
            outcome.cycles = device.run(case.runs, **case.parameters).cycles
            found = {name: device.read_tensor(name) for name in case.results}
        outcome.problems = _compare(case, found, expected)
        outcome.passed = not outcome.problems
    except DeviceError as error:
        outcome.problems = [str(error)]
    outcome.seconds = time.perf_counter() - start
    return outcome


def run_selftest(device):
    """Run every case on a device.

    Parameters
    ----------
    device : Device

    Returns
    -------
    outcomes : list of Outcome
    source : str
        Where the answers are from: "stored", or "golden model" where none are stored for the
        configuration's format and lanes.
    """
    answers, source = answers_for(device.config)
    outcomes = []
    for case in make_cases(device.config):
        outcomes.append(_run_case(case, device, *answers[case.name]))
    registers = _registers(device)  # a simulation has some once a program is loaded
    return [registers, *outcomes], source


def report_table(outcomes):
    """The outcomes as lines of text, failures explained."""
    words = {True: "ok", False: "FAILED", None: "-"}
    lines = [f"{'check':24} {'result':8} {'cycles':>9} {'seconds':>8}  compared"]
    for outcome in outcomes:
        cycles = f"{outcome.cycles:,}" if outcome.cycles else "-"
        lines.append(
            f"{outcome.name:24} {words[outcome.passed]:8} {cycles:>9} {outcome.seconds:8.2f}"
            f"  {outcome.detail}"
        )
        lines += [f"    {problem}" for problem in outcome.problems]
    return lines
