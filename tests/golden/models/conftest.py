"""The trained network, loaded once."""

import pytest

from golden.models import minilm


@pytest.fixture(scope="session")
def model() -> minilm.MiniLM:
    """all-MiniLM-L6-v2 with its trained weights."""
    return minilm.load()
