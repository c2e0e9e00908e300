"""The stored operands and answers of the self-test, one file for each format and lane count."""

from pathlib import Path

import numpy as np

from ...formats import Blocked, format_named
from .cases import make_cases

__all__ = ["answers_for", "golden_answers", "save_answers", "stored_path"]

_FOLDER = Path(__file__).parent / "answers"
_EXPONENTS = ":exponents"


def stored_path(config):
    """Where the answers for a configuration are stored, if they are: rows and sizes of buffers do
    not change a bit."""
    return _FOLDER / f"{config.format}-{config.lanes}.npz"


def golden_answers(config, seed=1):
    """{case: (operands, results)} by the golden model, with random operands.

    Layer passes share their operands.
    """
    answers = {}
    for case in make_cases(config):
        operands = case.operands(np.random.default_rng(seed))
        answers[case.name] = operands, case.golden(operands)
    return answers


def _flat(tensors, prefix):
    for name, value in tensors.items():
        if isinstance(value, Blocked):
            yield f"{prefix}/{name}", value.elements
            if value.exponents is not None:
                yield f"{prefix}/{name}{_EXPONENTS}", value.exponents
        else:
            yield f"{prefix}/{name}", value


def save_answers(path, answers):
    """Write answers to an npz file, compressed; operands that cases share are stored once."""
    arrays = {}
    for name, (operands, results) in answers.items():
        group = "layer" if name.startswith("layer ") else name
        arrays.update(_flat(operands, f"{group}/operands"))
        arrays.update(_flat(results, f"{name}/results"))
    np.savez_compressed(path, **arrays)


def _load(path, config):
    format = format_named(config.format)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    answers = {}
    for case in make_cases(config):
        group = "layer" if case.name.startswith("layer ") else case.name
        found = []
        for prefix in (f"{group}/operands/", f"{case.name}/results/"):
            tensors = {}
            for key, value in arrays.items():
                name = key[len(prefix) :]
                if not key.startswith(prefix) or name.endswith(_EXPONENTS):
                    continue
                if case.program.tensors[name].storage == "blocked":
                    value = Blocked(format, value, arrays.get(key + _EXPONENTS))
                tensors[name] = value
            found.append(tensors)
        answers[case.name] = tuple(found)
    return answers


def answers_for(config):
    """({case: (operands, results)}, where they are from: "stored" or "golden model")."""
    path = stored_path(config)
    if path.exists():
        return _load(path, config), "stored"
    return golden_answers(config), "golden model"
