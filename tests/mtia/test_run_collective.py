"""``mtia run collective``: what it refuses, what it prints, and a run of each kind on the RTL."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from mtia.cli import main
from mtia.cli.run_collective_plot import Curve, draw

BASE = ["run", "collective"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--ranks", "73"], "Ranks of a domain of the MTIA 400 must be at most 72, not 73"),
        (["--ranks", "17", "--gen", "mtia300"], "Ranks of a domain of the MTIA 300 must be at most 16, not 17"),
        (["--ranks", "1"], "Ranks must be"),
        (["--op", "sendrecv", "--ranks", "3"], "Ranks of sendrecv must be at most 2, not 3"),
        (["--op", "allredcue"], "did you mean allreduce"),
        (["--op", "broadcast", "--algorithm", "two-shot"], "Algorithm of broadcast must be one of linear"),
        (["--gen", "mtia300", "--algorithm", "in-switch"], "needs a switch that this generation does not have"),
        (["--bytes", "3"], "Bytes of allreduce must be a multiple of 2, not 3"),
        (["--bytes", "0"], "Bytes must be"),
        (["--dtype", "mxfp4", "--bytes", "40"], "must be a multiple of 32, not 40"),
        (["--dtype", "bf61"], "did you mean bf16"),
        (["--flit-error-rate", "0.5"], "Flit error rate must be from 0 to 0.1, not '0.5'"),
        (["--root", "8"], "Root must be below the 8 ranks, not 8"),
        (["--waves", "9"], "Node of the waves must be below the 8 ranks, not 9"),
        (["--rtl-ranks", "0,x"], "RTL ranks must be whole numbers with commas between them, not '0,x'"),
        (["--rtl-ranks", ""], "RTL ranks must be whole numbers with commas between them, not ''"),
        (["--rtl-ranks", "0,8"], "RTL ranks must be from 0 to 7, not 8"),
        (["--rtl-ranks", "1,2", "--waves", "0"], "Node of the waves must be RTL (--rtl-ranks: 1, 2), not 0"),
        (["--bytes", "100000000", "--algorithm", "one-shot"], "Bytes must fit 16 MiB of landing slots a rank"),
        (["--algorithm", "two-shot", "--plot", "nowhere/x.svg"], "--plot must be a file in a folder that is there"),
        (["--algorithm", "two-shot", "--input", "nowhere.npy"], "nowhere.npy"),
    ],
)
def test_what_cannot_be_done_gives_one_line(arguments, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*BASE, *arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert line in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (np.zeros((3, 8), np.float32), "Input must have a row for each of the 4 ranks, not shape (3, 8)"),
        (np.zeros((4, 8), np.complex64), "Input must hold numbers, or uint8 for bytes, not complex64"),
        (np.zeros((4, 8), np.float32), "Input of rank 0 must have 64 bytes, not 16"),
    ],
)
def test_inputs_that_do_not_fit(array, line, capsys, tmp_path):
    np.save(tmp_path / "x.npy", array)
    given = ["--algorithm", "two-shot", "--ranks", "4", "--bytes", "64", "--input", str(tmp_path / "x.npy")]
    assert main([*BASE, *given]) == 2
    assert line in capsys.readouterr().err


def test_a_picture_has_a_curve_for_each_algorithm():
    curves = [
        Curve(name="one", points=[(256, 90.0), (4096, 700.0)]),
        Curve(name="least", points=[(256, 60)], bound=True),
    ]
    picture = draw(curves, title="a & b")
    root = ElementTree.fromstring(picture)
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a & b", "one", "least", "256", "4K", "100"} <= set(texts)
    paths = [each for each in root.iter("{http://www.w3.org/2000/svg}path") if each.get("class") in ("c", "o")]
    assert len(paths) == 4  # each curve, and its mark in the legend


def test_a_picture_of_nothing_is_refused():
    for points in ([], [(0, 5.0)], [(8, 0.0)]):
        with pytest.raises(ValueError, match="Points of a picture must be at least one"):
            draw([Curve(name="x", points=points)], title="x")


@pytest.mark.sim
def test_the_result_does_not_depend_on_how(capsys, tmp_path):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 500)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    found = []
    for more in (
        ["--algorithm", "one-shot"],
        ["--skew", "90", "--flit-error-rate", "1e-2"],
        ["--algorithm", "ring"],
        ["--algorithm", "two-shot", "--rtl-ranks", "3,1"],
    ):
        files = ["--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy")]
        size = ["--ranks", "4", "--bytes", "2000", "--dtype", "fp32", "--json"]
        assert main([*BASE, *size, *files, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
        y = np.load(tmp_path / "y.npy")
        np.testing.assert_array_equal(y, np.tile((x[0] + x[1]) + (x[2] + x[3]), (4, 1)))
    assert len({each["sha256"] for each in found}) == 1
    assert [each["algorithm"] for each in found] == ["one-shot", "in-switch", "ring", "two-shot"]
    assert [(each["rtl_nodes"], each["golden_nodes"]) for each in found] == [(4, 0)] * 3 + [(2, 2)]
    for each in found:
        assert each["match"] is True
        assert each["mismatches"] == 0
        assert each["cycles"] >= each["bound_cycles"] > each["first_byte_cycles"]
    assert found[0]["retransmissions"] == 0 < found[1]["retransmissions"]


@pytest.mark.sim
def test_text_and_picture(capsys, tmp_path):
    plot = tmp_path / "sizes.svg"
    assert main([*BASE, "--gen", "mtia300", "--ranks", "3", "--bytes", "4096", "--plot", str(plot)]) == 0
    text = capsys.readouterr().out
    assert "PASS: every byte of every rank is that of the golden model" in text
    assert "allreduce over 3 ranks of the MTIA 300, bf16, 4096 bytes" in text
    names = {each.text for each in ElementTree.parse(plot).iter("{http://www.w3.org/2000/svg}text")}
    assert {"one-shot", "two-shot", "ring", "bound"} <= names
    assert "in-switch" not in names


@pytest.mark.sim
@pytest.mark.long
def test_waves_of_a_node(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*BASE, "--op", "allgather", "--ranks", "2", "--bytes", "512", "--waves", "1"]) == 0
    folder = tmp_path / "runs" / "collective-allgather-2-linear"
    assert f"to see them: mtia waves {folder.relative_to(tmp_path)}" in capsys.readouterr().out
    assert main(["waves", str(folder), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "A node of 2 in allgather on the MTIA 400" in page
    assert "PASS" in page
