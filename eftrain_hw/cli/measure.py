"""`eftrain bench`, `eftrain plan`."""

import json
from pathlib import Path

from ..config import AcceleratorConfig
from .formats import apply_format
from .memory import memory_command
from .networks import named_network

__all__ = ["bench_command", "plan_command"]


def _configuration(arguments):
    config = AcceleratorConfig.load(arguments.config)
    changes = {name: getattr(arguments, name) for name in ("rows", "lanes")}
    try:
        config = config.replace(**{k: v for k, v in changes.items() if v is not None})
        config, arguments.pass_formats = apply_format(config, arguments.format)
        return config
    except ValueError as error:
        raise ValueError(str(error).replace("AcceleratorConfig.", "--")) from None


def bench_command(arguments):
    from ..runtime import benchmark

    config = _configuration(arguments)
    network = arguments.network
    benchmark.bench_command(config, arguments, None if network is None else named_network(network))


def plan_command(arguments):
    from ..compiler.devices import device_of
    from ..compiler.plan import plan_step
    from ..compiler.resources import resources

    device = device_of(arguments.board)
    if arguments.batch < 1:
        raise ValueError(f"--batch must be at least 1, not {arguments.batch}")
    config = _configuration(arguments)
    if arguments.memory:
        memory_command(config, arguments)
        return
    if arguments.explore and arguments.pass_formats:
        raise ValueError(f"--explore must go without --format {arguments.format}")
    network = named_network(arguments.network)
    plan = plan_step(network, config, arguments.batch, format=arguments.pass_formats)
    used = resources(config)
    report = {**plan.to_dict(), "network": arguments.network, "resources": used.to_dict()}
    print("\n".join([*plan.table(), *used.table(device)]))
    found = None
    if arguments.explore:
        found = _explore(network, config, arguments, device)
        report["pareto"] = [point.to_dict() for point in found.front]
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.plot:
        from ..compiler.roofline import write_roofline

        title = f"{Path(arguments.network).name}, batch {arguments.batch},"
        write_roofline(
            plan,
            arguments.plot,
            f"{title} {config.rows}x{config.lanes} {arguments.format or config.format}",
            found,
        )


def _explore(network, config, arguments, device):
    """Print the configurations for the board that none beats; return the `Exploration`."""
    from ..compiler.explore import Point, explore

    found = explore(network, config, arguments.batch, device)
    if not found.points:
        raise ValueError(f"--explore: no configuration of this network fits {device}")
    print(
        f"\n{found.tried} configurations, {found.fitting} of them fit {device}; of"
        f" {len(found.points)} that the model looked at none beats these:"
    )
    print("\n".join([Point.HEAD, *(point.row() for point in found.front)]))
    return found
