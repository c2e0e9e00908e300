"""`eftrain plan --memory`."""

import json

__all__ = ["memory_arguments", "memory_command"]


def memory_arguments(plan):
    """Add the options of the ledger to `eftrain plan`."""
    plan.add_argument(
        "--memory", action="store_true", help="every byte of a training step instead, and its twin"
    )
    plan.add_argument(
        "--bits",
        metavar="W,A,G,M",
        help="with --memory: bits of cores, activations, gradients, master (default: the format's)",
    )
    plan.add_argument(
        "--end-ranks",
        action="append",
        default=[],
        metavar="LAYER=R,R,..",
        help="with --memory: ranks of a tensor-train layer after training; once a layer",
    )
    plan.add_argument(
        "--packed", action="store_true", help="with --memory: packed_programs, as memory on chip"
    )
    plan.add_argument(
        "--momentum", type=float, default=0.9, help="with --memory: default: %(default)s"
    )


def memory_command(config, arguments, network):
    """Print the ledger at the start ranks, and at the end ranks where they are given."""
    from ..compiler.ledger import memory_ledger, twin_ledger
    from ..compiler.nn import CrossEntropyLoss
    from ..compiler.optim import SGD
    from ..compiler.rebuild import with_ranks

    if arguments.packed:
        config = config.replace(packed_programs=True)
    precision = _precision(arguments.bits)
    optimizer, batch = SGD(lr=0.01, momentum=arguments.momentum), arguments.batch
    settings = {"batch_size": batch, "optimizer": optimizer}
    twin = twin_ledger(network, **settings)
    settings |= {"loss": CrossEntropyLoss(), "precision": precision}
    settings["format"] = arguments.pass_formats
    networks = {"start": network}
    if arguments.end_ranks:
        networks["end"] = with_ranks(network, _ranks(arguments.end_ranks))
    ledgers = {when: memory_ledger(n, config, **settings) for when, n in networks.items()}
    report = {"network": arguments.network, "batch_size": batch, "twin": twin.to_dict()}
    for when, ledger in ledgers.items():
        ratio = twin.shared / ledger.shared
        report[when] = {**ledger.to_dict(), "ratio": ratio}
        print("\n".join(_table(f"{when} ranks" if len(ledgers) > 1 else "training step", ledger)))
        print(f"{'ratio to the dense fp32 twin':36} {ratio:12.1f}")
        if not ledger.programs_counted:
            whole = ledger.shared + ledger.program_estimate
            report[when]["ratio_with_program_estimate"] = twin.shared / whole
            print(f"{'.. with the program':36} {twin.shared / whole:12.1f}")
        print()
    print("\n".join(_table("dense fp32 twin", twin)))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def _table(title, ledger):
    lines = [f"{title + ': tensor':36} {'bytes':>12}  kind"]
    lines += [f"{e.name:36} {e.nbytes:12,}  {e.kind}" for e in ledger.entries]
    lines += [f"{f'all {kind}':36} {size:12,}" for kind, size in ledger.by_kind.items()]
    if not ledger.programs_counted:
        lines[-1] = f"{'all program (not in the sums below)':36} {ledger.program_estimate:12,}"
        lines[-1] += "  as of the format's own widths: there is none for others yet"
    lines.append(f"{'every tensor in its own place':36} {ledger.total:12,}")
    lines.append(f"{'places shared over time':36} {ledger.shared:12,}")
    return lines


def _precision(text):
    from ..compiler.precision import Precision

    if text is None:
        return None
    names = ("weights", "activations", "gradients", "master")
    values = text.split(",")
    if len(values) != len(names) or not all(value.strip().isdigit() for value in values):
        raise ValueError(f"--bits must be four integers, such as 4,8,16,16, not {text!r}")
    return Precision(**dict(zip(names, map(int, values), strict=True)))


def _ranks(options):
    ranks = {}
    for option in options:
        name, equals, values = option.partition("=")
        if not equals or not all(value.strip().isdigit() for value in values.split(",")):
            raise ValueError(f"--end-ranks must be LAYER=R,R,.., such as 0=3,4,3, not {option!r}")
        ranks[name] = tuple(int(value) for value in values.split(","))
    return ranks
