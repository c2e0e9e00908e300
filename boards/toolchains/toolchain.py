"""What a tool chain is, and how its programs are run."""

import contextlib
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from ..board import BuildError

__all__ = ["Toolchain", "failure", "fresh", "run", "say", "version_of", "write"]

_SHOWN = 15  # last lines of a log that an error quotes


class Toolchain(ABC):
    """A way from a top to a bitstream.

    Members
    -------
    name : str
    looks_for : str
        What `find` looks for, and where, as a user reads it.
    makes_bitstream : bool
        False: the chain ends before one.
    """

    name = None
    looks_for = None
    makes_bitstream = True

    @abstractmethod
    def find(self):
        """{tool: version} of what is installed, or None where something is missing."""

    def check(self, board, config):
        """What can be known before anything long: BuildError where it cannot end well.

        Returns
        -------
        list of str
            Warnings, for the user and the record.
        """
        return []

    @abstractmethod
    def build(self, board, config, top, directory):
        """Build into a directory.

        Parameters
        ----------
        board : boards.Board
        config : AcceleratorConfig
        top : Elaboratable
            Of `board.make_top(config)`.
        directory : pathlib.Path
            It exists and may hold an earlier build's files.

        Returns
        -------
        dict
            For report.json: `bitstream` (path below `directory`, or None), `lut`, `ff`, `dsp`,
            `bram` (amount used or None), `logic_levels` (list or None), `fmax_mhz` (or None),
            `tools` ({name: version}), and whatever else the chain knows.

        Raises
        ------
        BuildError
            A tool failed (its last lines, and where its log lies), or timing is not met.
        """


def say(text):
    """Print a line of progress at once."""
    print(f"[bitstream] {text}", flush=True)


def fresh(directory, *names):
    """Remove results of an earlier build, so that they cannot pass for this one's."""
    for name in names:
        (Path(directory) / name).unlink(missing_ok=True)


def write(file, content):
    """Write a whole file or none: bytes or text, to a temporary name first."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    if isinstance(content, bytes):
        partial.write_bytes(content)
    else:
        partial.write_text(content, encoding="utf-8")
    os.replace(partial, file)


def run(command, directory, log, *, name=None, output=None, environment=None, limit=None):
    """Run a tool with its output in `directory`/`log`; returns the output.

    `name` is what an error calls it: the program, unless told otherwise. What the tool prints goes
    to the file `output` instead where that is given, and only its errors to the log. It is stopped
    after `limit` seconds, if that is given.

    Raises
    ------
    BuildError
        It cannot be started, ends with another status than 0, or not in time.
    """
    path, program = Path(directory) / log, name or command[0]
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(path.open("w", encoding="utf-8"))
        printed = errors
        if output is not None:
            printed = stack.enter_context((Path(directory) / output).open("w", encoding="utf-8"))
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                env=environment and {**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=errors,
                check=False,
                timeout=limit,
            )
        except OSError as error:
            raise BuildError(f"{program} cannot be started: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            said = _last_lines(path.read_text(encoding="utf-8", errors="replace"))
            raise BuildError(
                f"{program} was stopped after {limit} s; its last lines:\n{said}\nlog: {path}"
            ) from None
    text = path.read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        raise BuildError(failure(program, done.returncode, text, path))
    return text


def _last_lines(text):
    lines = [line for line in text.splitlines() if line.strip()][-_SHOWN:]
    return "\n".join(f"  | {line}" for line in lines) or "  | (it printed nothing)"


def failure(program, status, text, log):
    """The message about a tool that failed: its status, its last lines, where its log lies."""
    quoted = _last_lines(text)
    return f"{Path(program).name} ended with status {status}; its last lines:\n{quoted}\nlog: {log}"


def version_of(program, arguments, pattern):
    """What `pattern` (a compiled regular expression, group 1) finds in a program's output.

    None where there is no such program on PATH; "unknown" where it says nothing like it.
    """
    found = shutil.which(program)
    if not found:
        return None
    try:
        done = subprocess.run(
            [found, *arguments], capture_output=True, text=True, check=False, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    match = pattern.search(done.stdout + done.stderr)
    return match[1] if match else "unknown"
