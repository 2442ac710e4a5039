"""Emitted Verilog read back from the cache: the same as emitted anew, and only for the same sources and tables."""

import pytest
from amaranth.hdl import unsigned

from hdl.core.fifo import Queue
from hdl.emit import emit
from mtia import formats
from tb import emitted

from .designs import Adder


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """A cache of its own, and the names of the components that were elaborated."""
    monkeypatch.setenv("MTIA_CACHE", str(tmp_path))
    elaborated = []

    def counting(component, *, name):
        elaborated.append(type(component).__name__)
        return emit(component, name=name)

    monkeypatch.setattr(emitted, "emit", counting)
    return elaborated


def queue(depth=4):
    return Queue(shape=unsigned(8), depth=depth)


def test_read_back(counted):
    first = emitted.emitted(queue(), name="top")
    again = emitted.emitted(queue(), name="top")
    assert counted == ["Queue"]
    assert first == again == emit(queue(), name="top")


def test_other_parameters_name_sources_or_tables_are_emitted_anew(counted, monkeypatch):
    emitted.emitted(queue(), name="top")
    emitted.emitted(queue(depth=5), name="top")
    emitted.emitted(queue(), name="other")
    monkeypatch.setattr(emitted, "sources", lambda: "edited")
    emitted.emitted(queue(), name="top")
    monkeypatch.setitem(formats.FORMATS, "COPY", formats.FORMATS["MXFP4"])
    emitted.emitted(queue(), name="top")
    assert len(counted) == 5


def test_components_from_elsewhere_are_always_emitted(counted):
    emitted.emitted(Adder(), name="top")
    emitted.emitted(Adder(), name="top")
    assert counted == ["Adder", "Adder"]


def test_sources_follow_the_files():
    assert emitted.sources() == emitted.sources.__wrapped__()
    assert len(emitted.sources()) == 64
