"""The roofline of a plan: arithmetic intensity of each pass against what it attains."""

from pathlib import Path

__all__ = ["roofline_points", "write_roofline"]

BYTES_PER_CYCLE = 16  # of the memory, see `timing.Memory`
_STYLES = {"forward": ("o", "#1f77b4"), "backward": ("s", "#2ca02c"),
           "weight gradient": ("^", "#d62728")}  # fmt: skip
_FORMATS = {"bfp8": "#1f77b4", "fp32": "#d62728"}
_WIDE, _HIGH = 5, 1.09  # thousand LUTs, and ratio, that a configuration's name takes
_LABELS = 8  # passes farthest below their roof are named


def roofline_points(plan):
    """(pass, MACs a byte, MACs a cycle) of each pass on the array."""
    return [
        (p, p.macs / p.dram_bytes, p.macs / p.model_cycles) for p in plan.passes if p.macs
    ]


def write_roofline(plan, file, title, found=None):
    """Draw the roofline of a `StepPlan` into a picture file.

    Parameters
    ----------
    plan : StepPlan
    file : path
    title : str
    found : Exploration or None
        Its points are drawn beside it: LUTs and time of a step.

    Raises
    ------
    ValueError
        The file's ending is none that matplotlib writes.
    OSError
        It cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9 if found is None else 16, 6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    if Path(file).suffix.lstrip(".").lower() not in canvas.get_supported_filetypes():
        raise ValueError(f"--plot must end in .png, .svg or .pdf, not {str(file)!r}")
    axes, beside = (figure.subplots(), None) if found is None else figure.subplots(1, 2)
    if beside is not None:
        _draw_front(beside, found)
    config, points = plan.config, roofline_points(plan)
    peak = config.rows * config.lanes
    ridge = peak / BYTES_PER_CYCLE
    left = min([ridge, *(x for _, x, _ in points)]) / 2
    right = max([ridge, *(x for _, x, _ in points)]) * 2
    axes.plot([left, ridge, right], [left * BYTES_PER_CYCLE, peak, peak], color="black", zorder=1)
    axes.text(right * 0.97, peak * 1.06, f"array: {peak} MACs/cycle", ha="right", va="bottom")
    axes.annotate(
        f"memory: {BYTES_PER_CYCLE} bytes/cycle",
        (ridge / 2.2, peak / 2.2), xytext=(-6, 6), textcoords="offset points",
        ha="right", va="bottom",
    )  # fmt: skip
    for name, (marker, colour) in _STYLES.items():
        own = [(x, y) for p, x, y in points if p.pass_name == name]
        if own:
            axes.scatter(*zip(*own), marker=marker, color=colour, alpha=0.75, label=name, zorder=3)
    _name_slowest(axes, points, peak)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(left, right)
    lowest = min([peak, *(y for *_, y in points)])
    axes.set_ylim(min(left * BYTES_PER_CYCLE, lowest) / 1.5, peak * 1.6)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("arithmetic intensity, MACs / byte of DRAM traffic")
    axes.set_ylabel("MACs / cycle")
    axes.set_title(title)
    axes.grid(True, alpha=0.25)
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=130)


def _name_slowest(axes, points, peak):
    """Names at the passes that are farthest below their roof, none upon another."""
    def share(point):
        _, x, y = point
        return y / min(peak, x * BYTES_PER_CYCLE)

    placed = []
    for p, x, y in sorted(points, key=share)[:_LABELS]:
        if share((p, x, y)) > 0.9:
            break
        if any(max(x / a, a / x) < 1.25 and max(y / b, b / y) < 1.25 for a, b in placed):
            continue
        placed.append((x, y))
        axes.annotate(
            p.layer, (x, y), xytext=(6, -3), textcoords="offset points", fontsize=8, va="top"
        )


def _draw_front(axes, found):
    """LUTs and milliseconds of all points; those that none beats are filled, and named, to their
    left where another name is to the right."""
    front, right, left = found.front, [], []
    for name, colour in _FORMATS.items():
        own = [p for p in found.points if p.config.format == name]
        best = [p for p in own if p in front]
        if not own:
            continue
        axes.scatter(*zip(*map(_place, own)), facecolors="none", edgecolors=colour, s=30)
        axes.scatter(*zip(*map(_place, best)), color=colour, s=40, label=name, zorder=3)
        for point in best:
            x, y = _place(point)
            beside = left if _meets(x, y, right) else right
            if _meets(x, y, beside):
                continue
            beside.append((x, y))
            label = f"{point.config.rows}x{point.config.lanes}, {point.resources.bram:g} BRAM"
            place = {"xytext": (6, 4), "va": "bottom"}
            if beside is left:
                place = {"xytext": (-6, -4), "va": "top", "ha": "right"}
            axes.annotate(label, (x, y), textcoords="offset points", fontsize=8, **place)
    axes.set_yscale("log")
    least, most = axes.get_xlim()
    axes.set_xlim(least - _WIDE, most + _WIDE)
    for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis(lambda value, _: f"{value:g}")
    axes.set_xlabel("thousand LUTs")
    axes.set_ylabel("training step, ms")
    axes.set_title(f"{found.fitting} configurations fit; filled: none beats them (BRAM counts too)")
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(loc="upper right")


def _meets(x, y, placed):
    """Whether a name would be upon one of those there are."""
    return any(abs(x - a) < _WIDE and max(y / b, b / y) < _HIGH for a, b in placed)


def _place(point):
    return point.resources.lut / 1000, 1000 * point.step_seconds
