"""`docs/performance.md` from what `make bench` measured."""

from bench_layers import EF_TRAIN, VGG16

__all__ = ["performance_page"]

_HEAD = """# Performance

Made by `make bench` (`scripts/bench.py`), which also writes `build/bench.json`; do not edit.

The RTL runs in simulation with a memory of 16 bytes a cycle, reads and writes together, and a
latency of 40 cycles. Each pass is a program of its own, from the start to the interrupt, first load
and last store included, on random data; every byte of memory is compared with the golden model's.

- **ideal**: multiply-accumulates of the layer / size of the array. Channels are not rounded up, but
  the map's padding counts, in BP as in FP; strided BP skips what falls outside the map and may use
  fewer.
- **roofline**: the larger of ideal and the bytes that crossed the memory ports / 16.
- **RTL**: measured cycles. **utilisation**: ideal / RTL. **of roofline**: roofline / RTL.
- In brackets: by the model, where a pass has not been measured with this RTL and these tiles.
- **model**: cycles that the compiler's analytical model predicts, and by how much they are off.
- **limit**: why the array waited most, where that is 1 % of the cycles or more; see profiling.md.

Layers are in the middle of a network: the output goes through a ReLU, and BP reads the mask of
the one before.
"""
_BELOW = """## Rows below their bars

The bar is 97 % of the roofline for 3x3 layers of whole blocks of channels with 14x14 output pixels,
4 images and 30,000 ideal cycles or more, 95 % for other convolutions, 90 % for fully connected
layers. Where channels or strips don't divide evenly, the positions of the best even split count as
ideal: conv1 of VGG-16 has 27 products a pixel on 32 lanes. Stalls: cycles of the array by cause.
"""
_WHY = """
What limits them, and what would lift it:

- **Short passes.** A pass alone pays in full for what others hide in a step: 250 cycles until its
  first command is carried out (descriptor), 150 to 600 for its first tile (load), 300 to 1,000 from
  its last sums to the answer of the last write (store, rest). 1,000 cycles are 5 % of 20,000. Its
  tiles are as small as they can be, a row of a strip. Tiles that are read while they are loaded
  would take a part of the load away.
- **1x1 weight gradients.** A row of 4 x 4 blocks is loaded in 1,070 cycles, and the last bank of
  64 x 64 fp32 sums takes 1,024 bus words. Tiles of fewer blocks would start and end sooner, but
  each sweep has a position more, for the biases: 3 % of a sweep of 2 blocks. A first tile of fewer
  rows and a last one of fewer blocks were tried and gain nothing by the model, as what follows
  them comes too late. A second read port of the accumulators would let sums leave while their
  neighbours are still summed.
- **Strided input gradients of few channels.** A phase of the stride with one tap makes a vector a
  cycle where there are 16 channels, and a drain of 8 lanes takes two cycles for it: 2,700 cycles of
  waits. With `drain_lanes` 16 and 940 LUT more the model has 5 % fewer cycles; masks and results
  then keep the bus busy in these phases.
- **Short fully connected layers.** 450 to 570 cycles above the traffic: 100 to fetch the
  descriptor, 50 to issue the first load, 60 to its data, 130 from the last position to the last
  answer, which are three latencies of the memory and the pipelines between them, and the first
  tile and the last drain on top. 10 % of 1,450 bus words are 145 cycles, less than the three
  latencies.
"""
_COLUMNS = (
    "| layer | batch | pass | ideal | roofline | RTL | model | utilisation | of roofline | limit |"
)
_EF_COLUMN = " EF-Train |"


def _limit(report):
    if report["rtl_cycles"] is None:
        return ""
    cause, cycles = max(report["stalls"].items(), key=lambda item: item[1])
    share = cycles / report["rtl_cycles"]
    return f"{cause} {share:.1%}" if share >= 0.01 else ""


def _model(report):
    model, cycles = report["model_cycles"], report["rtl_cycles"]
    if model is None or cycles is None:
        return "" if model is None else f"{model:,}"
    return f"{model:,} ({model / cycles - 1:+.1%})"


def _row(report, ef_train=None, name=None):
    """A line of a table; what was not measured is in brackets, by the model."""
    cycles = report["rtl_cycles"]
    shares = [f"{report[name] / (cycles or report['model_cycles']):.1%}"
              for name in ("ideal_cycles", "roofline_cycles")]  # fmt: skip
    if cycles is None:
        shares = [f"({share})" for share in shares]
    cells = [
        f"{name}: {report['layer']}" if name else report["layer"],
        str(report["batch"]),
        report["pass"].upper(),
        f"{report['ideal_cycles']:,.0f}",
        f"{report['roofline_cycles']:,.0f}",
        f"{cycles:,}" if cycles else "",
        _model(report),
        *shares,
        _limit(report),
    ]
    if report["bit_exact"] is False:
        cells[5] += " **(wrong bits)**"
    if ef_train is not None:
        cells.append(f"{ef_train:.1%}")
    return f"| {' | '.join(cells)} |"


def _section(title, reports):
    lines = [f"## {title}", ""]
    names = {str(layer): name for name, layer in VGG16.items()} if "VGG" in title else {}
    columns = _COLUMNS
    if names:
        columns += _EF_COLUMN
        lines += [
            "Full width, few rows of the map. EF-Train: its utilisation of 16x16 fp32 MACs on the",
            "whole map, computed from its published scheduling model.",
            "",
        ]
    lines += [columns, "|---" * (columns.count("|") - 1) + "|"]
    for report in reports:
        name = names.get(report["layer"])
        lines.append(_row(report, EF_TRAIN[name][report["pass"]] if name else None, name))
    return [*lines, ""]


def _attained(report):
    """Share of the roofline, or of the positions that the best even split of the work takes."""
    even = report["mac_busy"] if report["mac_busy"] > 1.02 * report["ideal_cycles"] else 0
    if report["layer"].startswith("linear"):
        even = 0
    return max(report["roofline_cycles"], even) / report["rtl_cycles"]


def _below(layers):
    lines = [_BELOW, "| layer | batch | pass | bar | reached | cycles above the bar | stalls |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    seen = set()
    for report in layers:
        key = report["layer"], report["batch"], report["pass"]
        if key in seen or not report["rtl_cycles"]:
            continue
        share = _attained(report)
        if share >= report["bar"]:
            continue
        seen.add(key)
        above = report["rtl_cycles"] * (1 - share / report["bar"])
        largest = sorted(report["stalls"].items(), key=lambda item: -item[1])
        stalls = ", ".join(f"{cause} {cycles:,}" for cause, cycles in largest if cycles >= 100)
        cells = [*map(str, key[:2]), key[2].upper(), f"{report['bar']:.0%}", f"{share:.2%}",
                 f"{above:,.0f}", stalls]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, _WHY]


def _scaling(layers, steps):
    """How cycles grow with four times the images."""
    few = {(r["layer"], r["pass"]): r["rtl_cycles"] for r in layers
           if r["batch"] == 4 and r["rtl_cycles"]}
    grown = [
        (report["rtl_cycles"] / few[key], f"{key[0]} {key[1].upper()}")
        for report in layers
        if report["batch"] == 16 and report["rtl_cycles"]
        if (key := (report["layer"], report["pass"])) in few
    ]
    step = {s["batch"]: s["rtl_cycles"] for s in steps if s["network"] == "CIFAR CNN"}
    if not grown or len(step) < 2 or None in step.values():
        return []
    share, which = max(grown)
    return [
        f"Four times the images, from 4 to 16: at most {share:.2f} times the cycles ({which};"
        f" the bar is 4.05), {step[16] / step[4]:.2f} times in the step.",
        "",
    ]


def _steps(steps):
    lines = [
        "## Whole training steps",
        "",
        "From doorbell to interrupt: every pass, pooling, loss and update. VGG-16 by the model",
        "alone; EF-Train's figure, from its model too, is of the convolutions.",
        "",
        "| network | batch | ideal | RTL | model | utilisation | EF-Train |",
        "|---|---|---|---|---|---|---|",
    ]
    for step in steps:
        ideal, cycles, model = (step[f"{kind}_cycles"] for kind in ("ideal", "rtl", "model"))
        cells = [f"{value:,.0f}" if value else "" for value in (ideal, cycles, model)]
        known = cycles or model
        cells.append(f"{ideal / known:.1%}" if known else "")
        cells.append(f"{step['ef_train']:.1%}" if step["ef_train"] else "")
        lines.append(f"| {' | '.join([step['network'], str(step['batch']), *cells])} |")
    return [*lines, ""]


def _tools(tools):
    if "generate_seconds" not in tools:
        return []
    return [
        "## Speed of the tools",
        "",
        f"| Verilog generated in | {tools['generate_seconds']:.1f} s |",
        "|---|---|",
        f"| compiled by Verilator and g++ in | {tools['compile_seconds']:.0f} s |",
        f"| simulation | {tools['sim_cycles_per_second']:,.0f} cycles/s |",
        "",
    ]


def performance_page(report):
    """The page's text.

    Parameters
    ----------
    report : dict
        As `scripts/bench.py` writes it to build/bench.json.
    """
    config = report["config"]
    lines = [
        _HEAD,
        f"Configuration: {config['rows']}x{config['lanes']} MACs, {config['format']}.",
        "",
    ]
    for title in dict.fromkeys(entry["section"] for entry in report["layers"]):
        lines += _section(title, [r for r in report["layers"] if r["section"] == title])
    lines += [*_below(report["layers"]), *_steps(report["steps"])]
    lines += _scaling(report["layers"], report["steps"])
    return "\n".join([*lines, *_tools(report)])
