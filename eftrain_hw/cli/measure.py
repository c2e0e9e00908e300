"""`eftrain bench`, `eftrain plan`."""

import json
import sys
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

    config, network = _configuration(arguments), None
    if arguments.network is not None:
        network = _network(arguments)
        config = _with_processor(network, config, arguments.batch)
    benchmark.bench_command(config, arguments, network)


def _network(arguments):
    """The network of the options."""
    settings = {"width": arguments.channels, "size": arguments.image_size}
    return named_network(arguments.network, classes=arguments.classes, **settings)


def _with_processor(network, config, batch):
    """The configuration, with the vector processor where the network needs it."""
    from ..compiler.support import needs_vector_programs

    if config.vector_programs or not needs_vector_programs(network, config, batch):
        return config
    print("the network needs the vector processor: vector_programs=True", file=sys.stderr)
    return config.replace(vector_programs=True)


def plan_command(arguments):
    from ..compiler.devices import device_of
    from ..compiler.nn import train_only
    from ..compiler.plan import plan_step
    from ..compiler.resources import resources
    from ..compiler.savings import savings

    device = device_of(arguments.board)
    if arguments.batch < 1:
        raise ValueError(f"--batch must be at least 1, not {arguments.batch}")
    config = _configuration(arguments)
    network = _network(arguments)
    if arguments.train:
        try:
            network = train_only(network, *arguments.train)
        except ValueError as error:
            raise ValueError(str(error).replace("train_only: names", "--train")) from None
    config = _with_processor(network, config, arguments.batch)
    if arguments.memory:
        memory_command(config, arguments, network)
        return
    if arguments.explore and arguments.pass_formats:
        raise ValueError(f"--explore must go without --format {arguments.format}")
    plan = plan_step(network, config, arguments.batch, format=arguments.pass_formats)
    used = resources(config)
    report = {**plan.to_dict(), "network": arguments.network, "resources": used.to_dict()}
    print("\n".join([*plan.table(), *used.table(device)]))
    if saved := savings(network, plan):
        print(saved.line())
        report["savings"] = saved.to_dict()
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


def _say(text):
    print(f"[explore] {text}", file=sys.stderr, flush=True)


def _explore(network, config, arguments, device):
    """Print the configurations for the board that none beats; return the `Exploration`."""
    from ..compiler.explore import Point, explore

    found = explore(network, config, arguments.batch, device, progress=_say)
    if not found.points:
        raise ValueError(f"--explore: no configuration of this network fits {device}")
    print(
        f"\n{found.tried} configurations, {found.fitting} of them fit {device}; of"
        f" {len(found.points)} that the model looked at none beats these:"
    )
    print("\n".join([Point.HEAD, *(point.row() for point in found.front)]))
    return found
