"""The small design's waves."""

from pathlib import Path

import pytest

from tb.waves.trace import Trace

from .small import write


@pytest.fixture(scope="session")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """The small design as it was recorded."""
    return Trace(write(Path(tmp_path_factory.mktemp("waves"), "waves.vcd")))
