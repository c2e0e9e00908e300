"""The command `eftrain bench`: one layer at will, or a network's training step."""

import json

from ..timeline import profile_table, shares_table, write_trace
from .layer import PASSES, Layer, LayerError
from .measure import LayerBench
from .network import bench_network

__all__ = ["bench_command"]

_OPTIONS = {"kind": "--layer"}  # where the option is not called like the field
_MAP = {"height": 32, "width": None, "kernel": 3, "stride": 1, "padding": None, "dilation": 1}


_HEAD = "           ideal         RTL       model    roofline  utilisation  bits"


def _layer(arguments):
    for name in ("in_channels", "out_channels"):
        if getattr(arguments, name) is None:
            raise ValueError(f"--{name.replace('_', '-')} must be given, or --network")
    given = {name: getattr(arguments, name) for name in _MAP}
    given = {name: value for name, value in given.items() if value is not None}
    sizes = given
    if arguments.layer != "linear":
        sizes = _MAP | given
        if sizes["width"] is None:
            sizes["width"] = sizes["height"]
        if sizes["padding"] is None:
            sizes["padding"] = _half(sizes["kernel"], sizes["dilation"])
    return Layer(
        kind=arguments.layer,
        in_channels=arguments.in_channels,
        out_channels=arguments.out_channels,
        batch=arguments.batch,
        first=arguments.first,
        raw=arguments.raw,
        groups=arguments.groups,
        transposed=arguments.transposed,
        format=arguments.pass_formats,
        **sizes,
    )


def _half(kernel, dilation):
    """The padding that keeps an odd kernel's map as large as it is."""
    if isinstance(kernel, int) and isinstance(dilation, int):
        return max(0, dilation * (kernel - 1) + 1) // 2
    pairs = [(size, size) if isinstance(size, int) else size for size in (kernel, dilation)]
    return tuple(_half(*sizes) for sizes in zip(*pairs, strict=True))


def _passes(layer, which):
    if which == "all":
        return layer.passes
    if which not in PASSES:
        raise ValueError(f"--pass must be one of {', '.join(PASSES)}, all, not {which!r}")
    if which not in layer.passes:
        raise ValueError(f"--pass must be one of {', '.join(layer.passes)} with --first")
    return (which,)


def _line(name, report):
    cycles, model = report["rtl_cycles"], report["model_cycles"]
    return (
        f"{name:4} {report['ideal_cycles']:11,.0f} {cycles:11,}"
        f" {'-' if model is None else format(model, ',.0f'):>11} {report['roofline_cycles']:11,.0f}"
        f" {report['utilisation']:12.1%}  {'exact' if report['bit_exact'] else 'WRONG'}"
    )


def bench_command(config, arguments, network=None):
    """Bench what the arguments ask for; print it, and write the JSON.

    One pass gives its report (`LayerBench.run`), several a dict of them by pass; a network that of
    `bench_network`.

    Parameters
    ----------
    config : AcceleratorConfig
    arguments : argparse.Namespace
    network : nn.Sequential or None
        Its training step instead of a layer's passes.

    Raises
    ------
    ValueError
        Naming the option.
    RuntimeError
        The RTL and the golden model differ.
    """
    if arguments.seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {arguments.seed}")
    if network is not None:
        _bench_network(config, arguments, network)
        return
    if arguments.trace:
        raise ValueError("--trace must go with --network")
    try:
        layer = _layer(arguments)
    except LayerError as error:
        option = _OPTIONS.get(error.field, f"--{error.field.replace('_', '-')}")
        raise ValueError(f"{option} {error.rule}") from None
    names = _passes(layer, arguments.which)
    with LayerBench(layer, config, seed=arguments.seed) as bench:
        reports = {name: bench.run(name) for name in names}
    if arguments.json:
        result = reports if arguments.which == "all" else reports[arguments.which]
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    shown = arguments.format or config.format
    print(f"{layer}, batch {layer.batch}, {config.rows}x{config.lanes} {shown}")
    print(_HEAD.replace("    ", "pass", 1))
    for name, report in reports.items():
        print(_line(name, report))
    print("\nwhere the cycles went:")
    causes = {name: {"mac_busy": r["mac_busy"], **r["stalls"]} for name, r in reports.items()}
    print("\n".join(shares_table(causes)))
    wrong = [name for name, report in reports.items() if not report["bit_exact"]]
    if wrong:
        raise RuntimeError(f"{', '.join(wrong)}: the RTL differs from the golden model")


def _bench_network(config, arguments, network):
    report, profile = bench_network(network, config, batch=arguments.batch, seed=arguments.seed,
                                    format=arguments.pass_formats)  # fmt: skip
    name = arguments.network
    if arguments.json:
        report = {"network": name, **report}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.trace:
        write_trace(arguments.trace, profile, f"{name}, batch {arguments.batch}")
    shown = arguments.format or config.format
    print(f"{name}, batch {arguments.batch}, {config.rows}x{config.lanes} {shown}")
    print(_HEAD)
    print(_line("step", report))
    print("\n".join(["", *profile_table(profile)]))
    if not report["bit_exact"]:
        raise RuntimeError(f"{name}: the RTL differs from the golden model")
