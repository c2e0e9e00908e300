"""`make bitstream BOARD=...`: the command `eftrain bitstream` from a source tree."""

import sys

from eftrain_hw.cli import main

if __name__ == "__main__":
    sys.exit(main(["bitstream", *sys.argv[1:]]))
