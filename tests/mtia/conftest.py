"""Runs the command line in the process of the test."""

from collections.abc import Callable

import pytest

from mtia import cli


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
