"""The command `eftrain`."""

import sys

from .arguments import command_parser

__all__ = ["main"]


def main(argv=None):
    """Run the command; returns the exit status: 0, 1 where the device failed, 2 for bad input."""
    arguments = command_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, TypeError, OSError) as error:
        print(f"eftrain {arguments.command}: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"eftrain {arguments.command}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:  # as on a board, where NumPy is all there is
        missing = error.name or str(error)
        print(f"eftrain {arguments.command}: needs the package {missing!r}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"eftrain {arguments.command}: interrupted", file=sys.stderr)
        return 130
    return 0
