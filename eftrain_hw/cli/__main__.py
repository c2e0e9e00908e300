"""`python -m eftrain_hw.cli`."""

import sys

from . import main

sys.exit(main())
