"""The model cache: one build for many askers, nothing half-built, bounded size."""

import multiprocessing
import os
import time

import pytest

from tb import cache


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MTIA_CACHE", str(tmp_path))
    return tmp_path


def write(text, log=None):
    def build(folder):
        (folder / "product").write_text(text)
        if log is not None:
            log.append(text)

    return build


def test_built_once():
    log: list[str] = []
    first = cache.fetch(["a", "b"], write("x", log))
    assert cache.fetch(["a", "b"], write("y", log)) == first
    assert (first / "product").read_text() == "x"
    assert log == ["x"]


def test_parts_are_separate():
    keys = {cache.key(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["c", "ab"])}
    assert len(keys) == 5


def test_failed_build_leaves_nothing(place):
    def build(folder):
        (folder / "product").write_text("half")
        raise RuntimeError("compiler died")

    with pytest.raises(RuntimeError, match="compiler died"):
        cache.fetch(["a"], build)
    assert list((place / "models").iterdir()) == []
    assert (cache.fetch(["a"], write("whole")) / "product").read_text() == "whole"


def _slow_build(folder):
    with (folder.parent.parent / "builds").open("a") as log:
        log.write("x")
    time.sleep(0.3)
    (folder / "product").write_text("done")


def _ask(_):
    return (cache.fetch(["shared"], _slow_build) / "product").read_text()


def test_processes_share_one_build(place):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(_ask, range(6)) == ["done"] * 6
    assert (place / "builds").read_text() == "x"


def age(folder, seconds):
    stamp = time.time() - seconds
    os.utime(folder, (stamp, stamp))


def test_oldest_go_first(monkeypatch):
    folders = [cache.fetch([str(number)], write("x" * 1000)) for number in range(4)]
    for number, folder in enumerate(folders):
        age(folder, 10_000 - number)
    monkeypatch.setenv("MTIA_CACHE_LIMIT", "2500")
    assert cache.prune() == folders[:2]
    assert [folder.exists() for folder in folders] == [False, False, True, True]


def test_use_keeps_young(monkeypatch):
    folders = [cache.fetch([str(number)], write("x" * 1000)) for number in range(2)]
    for folder in folders:
        age(folder, 10_000)
    cache.fetch(["0"], write("x"))
    monkeypatch.setenv("MTIA_CACHE_LIMIT", "0")
    assert cache.prune() == folders[1:]


def test_abandoned_builds_go(place):
    cache.fetch(["a"], write("x"))
    dead = place / "models" / ".dead.1"
    dead.mkdir()
    assert cache.prune() == []
    age(dead, cache.ABANDONED + 1)
    assert cache.prune() == [dead]


def test_location(monkeypatch, tmp_path):
    monkeypatch.delenv("MTIA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.location() == tmp_path / "xdg" / "mtia"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.location() == tmp_path / ".cache" / "mtia"


def test_limit_wrong(monkeypatch):
    monkeypatch.setenv("MTIA_CACHE_LIMIT", "1G")
    with pytest.raises(ValueError, match="MTIA_CACHE_LIMIT must be a number of bytes, not '1G'"):
        cache.limit()
