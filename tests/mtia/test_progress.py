"""What a person sees while a command works."""

from collections.abc import Callable

import pytest

from mtia.cli import progress, run_product
from mtia.engine import EngineParameters
from tests.mtia.fake_engine import FakeEngine

Run = Callable[..., tuple[int, str, str]]


class TestWaiting:
    def test_is_explained(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def slow(parameters: EngineParameters, *, trace: bool) -> FakeEngine:
            timer = progress.threading.Event()
            timer.wait(0.3)
            return FakeEngine(parameters)

        monkeypatch.setattr(progress, "PATIENCE", 0.01)
        monkeypatch.setattr(run_product, "GemmLane", slow)
        _, _, err = run("run", "gemm", "--m", "1")
        assert err.startswith("preparing the simulator")
        assert err.count("\n") == 1

    def test_bar(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        times = iter([0.0, 0.5, 2.0, 2.01, 4.0])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
        monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
        bar = progress.Bar("simulating")
        for done in (1, 25, 26, 50):
            bar(done, 100)
        bar.close()
        shown = capsys.readouterr().err
        assert shown.count("simulating") == 2
        assert "[########......................]  25%, 6 s left" in shown
        assert " 50%, 4 s left" in shown
        assert shown.endswith("\r\x1b[K")

    def test_no_bar_in_a_file(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        times = iter([0.0, 5.0])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
        bar = progress.Bar("simulating")
        bar(1, 2)
        bar.close()
        assert capsys.readouterr().err == ""
