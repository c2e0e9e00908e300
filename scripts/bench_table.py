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
- **model**: cycles that the compiler's analytical model predicts, and by how much they are off.
- **limit**: why the array waited most, where that is 1 % of the cycles or more; see profiling.md.

Layers are in the middle of a network: the output goes through a ReLU, and BP reads the mask of
the one before.

What limits the rows that stay below their bars:

- **Short fully connected layers.** A pass alone takes about 100 cycles to fetch its descriptor,
  50 to issue the first load, 60 to its first data, and behind the last position 30 to the sums
  and 100 to the answer of the last write: three latencies of the memory and the pipelines between
  them. The first tile's loads and the last tile's drain come on top, 150 to 700 cycles. 10 % of
  1,450 bus words (1024 -> 10, batch 4) are 145 cycles: not even the three latencies. In a
  training step the descriptors are fetched ahead. Tiles that are read while they are loaded would
  save 100 to 250.
- **First layers and strided 1x1.** Both keep the bus busy for more than nine tenths of the time,
  and what is lost is lost where a drain's writes and the next tile's reads meet.
- **Weight gradients.** The sums of the last bank leave as fp32, 200 to 1,300 cycles behind the last
  position. They could leave while the array works on their neighbours, had the accumulators a read
  port for the drain besides that of the array.
- **Traffic.** A gradient's strips read their halos for each tile of rows, and its tiles begin with
  one row, so that the array starts soon; tiles of many rows read a third of that and cost a pass
  alone 1 to 3 % of its time. A first tile smaller than the others would give both.
"""
_COLUMNS = (
    "| layer | batch | pass | ideal | roofline | RTL | model | utilisation | of roofline | limit |"
)
_EF_COLUMN = " EF-Train |"


def _limit(report):
    cause, cycles = max(report["stalls"].items(), key=lambda item: item[1])
    share = cycles / report["rtl_cycles"]
    return f"{cause} {share:.1%}" if share >= 0.01 else ""


def _model(report):
    model, cycles = report["model_cycles"], report["rtl_cycles"]
    return "" if model is None else f"{model:,} ({model / cycles - 1:+.1%})"


def _row(report, ef_train=None, name=None):
    cells = [
        f"{name}: {report['layer']}" if name else report["layer"],
        str(report["batch"]),
        report["pass"].upper(),
        f"{report['ideal_cycles']:,.0f}",
        f"{report['roofline_cycles']:,.0f}",
        f"{report['rtl_cycles']:,}" + ("" if report["bit_exact"] else " **(wrong bits)**"),
        _model(report),
        f"{report['utilisation']:.1%}",
        f"{report['roofline_cycles'] / report['rtl_cycles']:.1%}",
        _limit(report),
    ]
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
    return "\n".join([*lines, *_steps(report["steps"]), *_tools(report)])
