"""A profile for people: a table, and a timeline for Perfetto or chrome://tracing."""

import json

from ..csr.step_log_format import CAUSES, LANES

__all__ = ["chrome_trace", "profile_table", "shares_table", "time_shares", "write_trace"]

_PID = 1
_HEADS = {
    "mac_busy": "MAC", "hazard": "hazard", "load": "load", "stationary": "station.",
    "drain": "drain", "store": "store", "vector": "vector", "descriptor": "descr.", "rest": "rest",
}  # fmt: skip
_HEAD = "".join(f"{_HEADS[name]:>9}" for name in CAUSES)


def time_shares(causes):
    """Lines of where cycles went, in percent that sum to 100.0.

    Parameters
    ----------
    causes : dict
        Cycles by cause.
    """
    shares = _percent(causes)
    return [
        f"{name:11} {causes.get(name, 0):12,} {shares[name]:6.1f} %  {text}"
        for name, text in CAUSES.items()
    ]


def shares_table(rows):
    """Lines of a table with the percentages of several spans of time.

    Parameters
    ----------
    rows : dict
        By name, cycles by cause.
    """
    width = max(map(len, rows), default=0)
    lines = [f"{'':{width}}{_HEAD}"]
    lines += [f"{name:{width}}{_cells(causes)}" for name, causes in rows.items()]
    return lines


def _percent(causes):
    """Percentages by cause, with one decimal, that sum to 100.0 (to 0 where there is nothing)."""
    total = sum(causes.values())
    if not total:
        return dict.fromkeys(CAUSES, 0.0)
    # tenths, rounded down; the largest remainders are rounded up
    tenths = {name: 1000 * causes.get(name, 0) // total for name in CAUSES}
    order = sorted(CAUSES, key=lambda name: -(1000 * causes.get(name, 0) % total))
    for name in order[: 1000 - sum(tenths.values())]:
        tenths[name] += 1
    return {name: value / 10 for name, value in tenths.items()}


def _cells(causes):
    if not causes:
        return f"{'-':>9}" * len(CAUSES)
    return "".join(f"{value:8.1f}%" for value in _percent(causes).values())


def profile_table(profile):
    """Lines: a row for each descriptor, then where the time went.

    start, cycles: from its first command to the end of its last; they overlap. array: the cycles
    that the array gave to it, which sum to those of the step; then the shares of these.
    """
    width = max([len("descriptor"), *(len(each.name) for each in profile.descriptors)])
    lines = [f"{'descriptor':{width}} {'start':>11} {'cycles':>11} {'array':>11}{_HEAD}"]
    for each in profile.descriptors:
        late = f"  at work: {', '.join(each.unfinished)}" if each.unfinished else ""
        lines.append(
            f"{each.name:{width}} {each.start:11,} {each.cycles:11,} {each.array_cycles:11,}"
            f"{_cells(each.causes)}{late}"
        )
    lines += ["", f"where {profile.cycles:,} cycles went:", *time_shares(profile.causes)]
    if not profile.complete:
        lines.append("The step log was full: what came later counts to the last descriptor.")
    return lines


def chrome_trace(profile, title="training step"):
    """The profile as Chrome trace events: one thread for each engine, times in microseconds.

    Parameters
    ----------
    profile : Profile
    title : str
        Name of the process.

    Returns
    -------
    dict
        https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    """
    scale = 1e6 / profile.clock_hz
    events = [
        {"ph": "M", "name": "process_name", "pid": _PID, "tid": 0, "args": {"name": title}}
    ]
    for tid, lane in enumerate(LANES, 1):
        for what, value in (("name", lane), ("sort_index", tid)):
            key = "name" if what == "name" else what
            events.append(
                {"ph": "M", "name": f"thread_{what}", "pid": _PID, "tid": tid, "args": {key: value}}
            )
    for each in profile.descriptors:
        for lane, span in each.lanes.items():
            arguments = {"descriptor": each.index, "cycle": span.start, "cycles": span.cycles}
            if lane == "compute" and each.array_cycles:
                arguments["array_cycles"] = each.array_cycles
                arguments["mac_utilisation"] = each.mac_busy / each.array_cycles
                arguments["stalls"] = each.stalls
            if not span.finished:
                arguments["at_work_when_the_step_ended"] = True
            events.append(
                {
                    "ph": "X",
                    "name": each.name,
                    "cat": lane,
                    "pid": _PID,
                    "tid": LANES.index(lane) + 1,
                    "ts": span.start * scale,
                    "dur": span.cycles * scale,
                    "args": arguments,
                }
            )
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"cycles": profile.cycles, "clock_hz": profile.clock_hz,
                      "complete": profile.complete},
    }  # fmt: skip


def write_trace(path, profile, title="training step"):
    """Write `chrome_trace` to a file."""
    path.write_text(json.dumps(chrome_trace(profile, title), indent=1) + "\n")
