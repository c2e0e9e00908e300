"""From an Amaranth component to a cocotb run on Verilator; what did not change is not built again.

    simulate("weight_reuse", lambda: WeightReuseBuffer(config=config), "sim.bench_weight_reuse",
             config=config, pause=0.5)

`build/sim/<name>` keeps the Verilog, the simulation and the logs. `WAVES=1` in the environment
builds another one with waveforms (`build/sim/<name>-waves/dump.vcd`). The bench reads what it is
called with by `sim.bus.parameters`.
"""

import dataclasses
import hashlib
import inspect
import json
import os
import re
import shutil
from importlib.metadata import version
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from eftrain_hw.runtime.simulation import TopPorts, to_verilog
from eftrain_hw.runtime.simulation.build import sources_hash, verilator_environment
from eftrain_hw.runtime.simulation.modules import share_modules

__all__ = ["PARAMETERS", "build_directory", "simulate"]

PARAMETERS = "EFTRAIN_BENCH"  # environment variable that carries them, as JSON
_ROOT = Path(__file__).resolve().parent.parent
_BUILDS = _ROOT / "build" / "sim"
_TOP = "top"
_TIMESCALE = ("1ns", "1ps")
_ARGUMENTS = ["--assert", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style"]
_COMPILER = "OPT_FAST=-O1 OPT_GLOBAL=-O1"  # a third of -Os's time to compile; Python is the brake
_MODELS = ("runner.py", "designs.py", "checker.py")


class _Runner(Verilator):
    """cocotb's runner, with the signals public that a bench drives and reads: the ports of the top.

    Making all of them public, as it does, costs three quarters of the speed.
    """

    def _build_command(self):
        verilate, make = super()._build_command()
        verilate = [word for word in verilate if word != "--public-flat-rw"]
        return [verilate, [*make, "-o", "Vtop.mk"]]  # Verilator's own objects stay


def _waves():
    return os.environ.get("WAVES", "") not in ("", "0")


def _ports(verilog, top):
    body = re.search(rf"^module {top}\s*\(.*?^endmodule", verilog, re.M | re.S)[0]
    escaped = re.findall(r"^\s*(?:input|output).* (\\\S+) ;", body, re.M)
    if escaped:
        raise ValueError(f"a port must not be a word of Verilog, as {escaped[0][1:]} is")
    ports = re.findall(r"^\s*(input|output) (?:reg |wire )?(?:\[(\d+):0\] )?(\w+)", body, re.M)
    widths = {name: int(high) + 1 if high else 1 for _, high, name in ports}
    inputs = {name for direction, _, name in ports if direction == "input"}
    return TopPorts(top, widths, inputs, [], None)


def _digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _share_runtime(directory, store):
    """Keep the objects of Verilator's own sources, or take them: they are half of a small build."""
    key = _digest(version("verilator"), _COMPILER, _waves())[:16]
    kept = _BUILDS / f"runtime-{key}"
    source, target = (directory, kept) if store else (kept, directory)
    target.mkdir(parents=True, exist_ok=True)
    for file in [*source.glob("verilated*.o"), *source.glob("verilated*.d")]:
        if not (target / file.name).exists():
            shutil.copy2(file, target)


def build_directory(name):
    """Where a design's Verilog, simulation, logs and waveforms are."""
    return _BUILDS / (f"{name}-waves" if _waves() else name)


def _build(name, make, identity):
    """A runner whose build directory holds the simulation of `make()`."""
    directory = build_directory(name)
    directory.mkdir(parents=True, exist_ok=True)
    models = [(_ROOT / "sim" / model).read_text() for model in _MODELS]
    key = _digest(sources_hash(), *models, inspect.getsource(make), identity)
    stamp, source, control = (directory / file for file in ("key", "design.v", "public.vlt"))
    runner = _Runner()
    runner.build_dir = directory
    if stamp.exists() and stamp.read_text() == key and (directory / _TOP).exists():
        return runner
    verilog = share_modules(to_verilog(make(), "dut"))
    ports = _ports(verilog, "dut")
    verilog += ports.wrapper(_TOP)
    unchanged = source.exists() and source.read_text() == verilog
    if not unchanged or not (directory / _TOP).exists():
        (directory / _TOP).unlink(missing_ok=True)
        source.write_text(verilog)
        public = [f'public_flat_rw -module "{_TOP}" -var "{port}"' for port in ports.widths]
        control.write_text("\n".join(["`verilator_config", *public, ""]))
        environment = verilator_environment()
        environment["MAKEFLAGS"] += f" {_COMPILER}"
        before = {variable: os.environ.get(variable) for variable in ("PATH", "MAKEFLAGS")}
        os.environ.update({variable: environment[variable] for variable in before})
        log = directory / "build.log"
        _share_runtime(directory, store=False)
        try:
            runner.build(
                sources=[control, source],
                hdl_toplevel=_TOP,
                build_dir=directory,
                build_args=_ARGUMENTS,
                timescale=_TIMESCALE,
                waves=_waves(),
                log_file=log,
            )
            _share_runtime(directory, store=True)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{_tail(log)}") from None
        finally:
            for variable, value in before.items():
                os.environ.pop(variable) if value is None else os.environ.update({variable: value})
        for header in directory.glob("*.gch"):  # 70 MB each, of no use any more
            header.unlink()
    stamp.write_text(key)
    return runner


def _tail(log, lines=60):
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def simulate(name, make, bench, *, config, **parameters):
    """Build a design where that is needed, and run a bench on it.

    Parameters
    ----------
    name : str
        Of the directory below build/sim, one for each design.
    make : callable
        make() returns the component; its ports become those of the simulation, beside `clk` and
        `rst`. It is only called when the package, `sim/` or the configuration changed.
    bench : str
        Module with the cocotb tests.
    config : AcceleratorConfig
    parameters :
        JSON values for the bench.

    Raises
    ------
    AssertionError
        A cocotb test failed or the simulation stopped; the message ends with its log.
    """
    identity = json.dumps(config.to_dict())
    runner = _build(name, make, identity)
    label = bench.rpartition(".")[2]
    log = runner.build_dir / f"{label}.log"
    results = runner.build_dir / f"{label}.xml"
    stopped = ""
    try:
        runner.test(
            test_module=bench,
            hdl_toplevel=_TOP,
            hdl_toplevel_lang="verilog",
            build_dir=runner.build_dir,
            results_xml=str(results),
            log_file=log,
            waves=_waves(),
            timescale=_TIMESCALE,
            extra_env={
                PARAMETERS: json.dumps({"config": dataclasses.asdict(config), **parameters}),
                "PYTHONWARNINGS": "ignore::DeprecationWarning",
                "COCOTB_ANSI_OUTPUT": "0",
                "COCOTB_RANDOM_SEED": "1",
            },
        )
    except (SystemExit, RuntimeError) as error:
        stopped = f"(the simulation ended with {error})"
    try:
        count, failed = get_results(results)
    except RuntimeError as error:
        count, failed, stopped = 0, 0, stopped or str(error)
    if stopped or failed or not count:
        raise AssertionError(
            f"{bench} on {name}: {failed} of {count} tests failed {stopped}\n{_tail(log)}"
        )
