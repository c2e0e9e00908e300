"""A device's self-test against stored answers of the golden model."""

from .answers import answers_for, golden_answers, stored_path
from .cases import CASES, Case, make_cases
from .command import selftest_command
from .run import Outcome, report_table, run_selftest

__all__ = [
    "CASES",
    "Case",
    "Outcome",
    "answers_for",
    "golden_answers",
    "make_cases",
    "report_table",
    "run_selftest",
    "selftest_command",
    "stored_path",
]
