"""What all tests share: reproducible property tests, and what depends on PyTorch being there."""

from importlib.util import find_spec

import pytest
from hypothesis import settings

from sim import pysim

settings.register_profile("project", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("project")

HAS_TORCH = find_spec("torch") is not None
# the same comparisons run on stored results of PyTorch; .ci/run installs it and runs these too
collect_ignore_glob = [] if HAS_TORCH else ["**/test_*torch*.py", "test_*torch*.py"]


def pytest_report_header(config):
    if HAS_TORCH:
        return "PyTorch: installed, the golden model is compared with its autograd"
    return "PyTorch: not installed, stored results of its autograd are used"


@pytest.fixture
def simulate():
    """`sim.pysim.simulate`: testbenches on a component, with a limit of cycles."""
    return pysim.simulate
