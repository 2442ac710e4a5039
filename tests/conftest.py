"""One seed for every random test: printed at the start and at each failure, and taken back from MTIA_SEED."""

import os
from collections.abc import Generator

import pytest

VARIABLE = "MTIA_SEED"
DEFAULT = 1


def read_seed() -> int:
    """The seed of this run; `pytest.UsageError` where the variable is no integer."""
    text = os.environ.get(VARIABLE, str(DEFAULT))
    try:
        return int(text, 0)
    except ValueError:
        raise pytest.UsageError(f"{VARIABLE} must be an integer, not {text!r}") from None


def pytest_report_header() -> str:
    """The line at the head of every run."""
    return f"seed: {VARIABLE}={read_seed()}"


@pytest.fixture(scope="session")
def seed() -> int:
    """Seed of the random tests: give it to `numpy.random.default_rng(seed)`."""
    return read_seed()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to the report of a failed random test how to run it again."""
    report = yield
    if report.failed and "seed" in getattr(item, "fixturenames", ()):
        report.sections.append(("random test", f"run again with {VARIABLE}={read_seed()}"))
    return report
