"""Imports only go down the folder list of the design: what a folder may use stands before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "eftrain_hw"
GATEWARE = (
    "version config formats streams arith array buffers vector dma sequencer csr soc interop"
).split()
MODELS = ["golden", "compiler", "networks", "runtime"]
ORDER = {name: rank for rank, name in enumerate([*GATEWARE, *MODELS, "__init__", "cli"])}
# Command layouts and program encoding are data, and shared: these files hold no gateware.
DATA = {
    "streams.command",
    "array.commands",
    "vector.assembler",
    "vector.assembler_checks",
    "vector.commands",
    "vector.program_format",
    "dma.commands",
    "sequencer.program_format",
    "sequencer.errors",
    "sequencer.interpreter",
    "sequencer.opcodes",
    "csr.registers",
    "csr.step_log_format",
    "interop.serial_protocol",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """(module of the package, line) of each import in a file, relative ones resolved."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    package = parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package[: len(package) - node.level + 1]
                base = ".".join(("eftrain_hw", *up, *([base] if base else [])))
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "eftrain_hw":
                yield ".".join(name.split(".")[1:]), node.lineno


def is_data(module):
    return any(module == name or module.startswith(name + ".") for name in DATA)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts
    folder = own[0]
    for module, line in imported(path):
        target = module.split(".")[0]
        if target not in ORDER:  # a name of the package itself, such as its version
            target = "__init__"
        where = f"{path.name}:{line} imports {module}"
        if target == folder or is_data(module):
            continue
        assert ORDER[target] <= ORDER[folder], where
        if folder == "golden":
            assert target in ("config", "formats"), f"golden is written from the rules: {where}"
        if folder == "compiler":
            assert target in ("config", "formats", "golden"), f"pure Python: {where}"


def test_board_needs_numpy_only():
    """On a board Amaranth, Verilator and the rest are not there."""
    script = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed and path is None:
            raise ImportError(f"{name} is not on a board")
allowed = set(sys.stdlib_module_names) | {"numpy", "eftrain_hw"}
sys.meta_path.insert(0, Refuse())
import eftrain_hw, eftrain_hw.golden, eftrain_hw.compiler, eftrain_hw.runtime
from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
import eftrain_hw.cli
network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), input_shape=(1, 4, 4))
config = AcceleratorConfig.preset("sim-small")
program = compile_network(network, config, batch_size=4, loss=nn.CrossEntropyLoss(),
                          optimizer=optim.SGD(lr=0.1))
import numpy
with open_device("golden", config) as device:
    trainer = Trainer(program, device, seed=0)
    trainer.fit(numpy.zeros((6, 1, 4, 4)), numpy.zeros(6, int), epochs=1, progress=False)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
