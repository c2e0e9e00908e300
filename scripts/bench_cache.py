"""What `make bench` has measured before: results by what they depend on."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from eftrain_hw.runtime.simulation.build import sources_hash

__all__ = ["known", "remember"]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "bench"
# with the RTL and the program's words all that a measurement depends on
_SOURCES = (
    "golden", "formats", "compiler/parameters.py", "runtime/benchmark/measure.py",
    "runtime/simulation",
)  # fmt: skip


def _digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


@cache
def _sources():
    parts = [sources_hash()]
    for name in _SOURCES:
        path = ROOT / "eftrain_hw" / name
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        parts += [file.read_bytes().hex() for file in files if file.suffix in (".py", ".cpp", ".h")]
    return _digest(*parts)


def _file(config, what, program, name):
    words = ",".join(str(int(word)) for word in program.words(name).reshape(-1))
    key = _digest(_sources(), config.to_dict(), what, name, program.entry(name), words)
    return FOLDER / f"{key}.json"


def known(config, what, program, name):
    """The report of a program that was measured before, or None.

    Parameters
    ----------
    config : AcceleratorConfig
    what : object
        With a text that tells its data apart: a `Layer`, a step.
    program : Program
    name : str
        Of its programs.
    """
    try:
        return json.loads(_file(config, what, program, name).read_text())
    except FileNotFoundError:
        return None


def remember(config, what, program, name, report):
    """Keep a report for `known`, if it is right; an interrupted benchmark goes on from there."""
    if not report["bit_exact"]:
        return
    file = _file(config, what, program, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(report) + "\n")
    os.replace(temporary, file)
