"""Runs the command line in the process of the test."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from mtia import cli
from mtia.cli import run_product
from tests.mtia.fake_engine import FakeEngine


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line with those words: status, standard output, standard error."""

    def runner(*words: str) -> tuple[int, str, str]:
        try:
            status = cli.main(words)
        except SystemExit as end:  # --help and --version
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return runner


@pytest.fixture
def refused(run: Callable[..., tuple[int, str, str]]) -> Callable[..., str]:
    """Runs a command line that is to be refused: the one line on standard error, with nothing else printed."""

    def runner(*words: str) -> str:
        status, out, err = run(*words)
        assert status == 2
        assert out == ""
        assert err.startswith("mtia: error: ")
        assert err.count("\n") == 1
        return str(err)

    return runner


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    """The golden model, in the place of the simulated engine of the run commands."""
    monkeypatch.setattr(run_product, "GemmLane", FakeEngine)
    FakeEngine.flips, FakeEngine.runs = {}, 0
    return FakeEngine


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Callable[..., list[str]]:
    """Writes A and B and gives the words that name them."""

    def write(a: object, b: object) -> list[str]:
        words = []
        for name, value in (("a", a), ("b", b)):
            path = tmp_path / f"{name}.npy"
            np.save(path, np.asarray(value))
            words += [f"--{name}", str(path)]
        return words

    return write
