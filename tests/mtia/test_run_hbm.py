"""`mtia run hbm`, with golden memories in the place of the simulated channel."""

import csv
import json
import pathlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from golden.hbm_memory import default_words
from mtia.cli import progress, run_hbm, run_hbm_session, run_hbm_waves, waves
from mtia.cli.common import UserError
from tb.lane import SimulationError
from tb.models.hbm import HbmViolation
from tb.verilator import BuildError
from tests.mtia.fake_channel import DELAY, FakeChannel

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]

SMALL = ("--requests", "60")
#: ns of a controller cycle of HBM3-6.4
CYCLE = 1.25


@pytest.fixture(autouse=True)
def channel(monkeypatch: pytest.MonkeyPatch) -> type[FakeChannel]:
    """The fake, as good as new."""
    monkeypatch.setattr(run_hbm_session, "HbmRun", FakeChannel)
    monkeypatch.setattr(run_hbm_session, "Channel", lambda **_: "design")
    monkeypatch.setattr(run_hbm, "LOADS", (0.5, 1.0))
    FakeChannel.flips, FakeChannel.rots, FakeChannel.strays = {}, 0, ()
    FakeChannel.commands, FakeChannel.violations, FakeChannel.runs = (), [], 0
    FakeChannel.built = []
    return FakeChannel


def hbm3(run: Run, *words: str) -> dict:
    """The object that --json prints for HBM3-6.4."""
    status, out, err = run("run", "hbm", "--timing", "HBM3-6.4", "--json", *words)
    assert err == ""
    found = json.loads(out)
    assert status == (0 if found["match"] and not found["violations"] else 1)
    return found


class TestText:
    def test_pass(self, run: Run) -> None:
        status, out, err = run("run", "hbm", *SMALL)
        assert (status, err) == (0, "")
        assert out.startswith("A channel of HBM3E-8.0, MTIA 300\n\nPASS  all 60 answers and the contents equal the ")
        assert "60 R: stream" in out
        assert "64 GB/s" in out
        assert "of reads, from acceptance to answer; mean" in out

    def test_operations_and_titles(self, run: Run) -> None:
        out = run("run", "hbm", "--timing", "hbm4-9.0", "--pattern", "triad", "--load", "0.5", *SMALL)[1]
        assert out.startswith("A channel of HBM4-9.0\n")
        assert "40 R, 20 W: triad" in out
        assert "from issue to answer" in out

    def test_mismatch(self, run: Run, channel: type[FakeChannel]) -> None:
        channel.flips = {(0, 1): 0x10}
        status, out, _ = run("run", "hbm", "--pattern", "stream", *SMALL)
        assert status == 1
        assert "FAIL  1 atoms differ from the golden memory" in out
        assert "first: request 1, address 0x20:" in out

    def test_violation(self, run: Run, channel: type[FakeChannel]) -> None:
        channel.commands = ("0,0,0,RD,0,0,0,,3",)
        place: dict = {"ck": 0, "pc": 0, "command": "RD", "sid": 0, "bank_group": 0, "bank": 0, "row": -1, "column": 3}
        channel.violations = [
            HbmViolation(**place, rule="CLOSED", distance=0, minimum=1),
        ]
        status, out, _ = run("run", "hbm", *SMALL)
        assert status == 1
        assert "FAIL  1 violations of HBM3E-8.0" in out
        assert "checker: RD (pc 0, " in out
        assert "device:  CLOSED at 0 CK: RD (pc 0), 0 where 1 is the limit" in out

    def test_files_are_named(self, run: Run, tmp_path: pathlib.Path) -> None:
        out = run("run", "hbm", *SMALL, "--out", str(tmp_path / "o.csv"), "--commands", str(tmp_path / "c.csv"))[1]
        assert f"commands: {tmp_path / 'c.csv'}\nout: {tmp_path / 'o.csv'}\n" in out


class TestJson:
    def test_keys(self, run: Run) -> None:
        found = hbm3(run, *SMALL, "--seed", "5")
        assert (found["match"], found["violations"], found["requests"], found["seed"]) == (True, 0, 60, 5)
        assert set(found["latency_ns"]) == {"mean", "p50", "p99", "max"}
        assert found["latency_ns"]["p50"] == found["unloaded_ns"] == DELAY * CYCLE
        assert found["bandwidth_fraction"] == 60 / (2 * found["cycles"])
        assert found["steady_fraction"] == pytest.approx(1, abs=0.1)
        assert (found["generation"], found["timing"], found["peak_gbs"]) == (None, "HBM3-6.4", 51.2)
        assert found["operations"] == {"R": 60, "W": 0, "RED": 0, "TREE": 0}
        assert found["tree_slots"] == 0
        assert found["refresh"] == {"mode": "per-bank", "commands": 0, "bank_time_fraction": 0, "owed": 0, "cost": None}
        assert (found["sweep"], found["commands"], found["out"], found["waves"]) == ([], None, None, None)
        assert set(found["command_counts"].values()) == {0}

    def test_generation_decides_the_set(self, run: Run) -> None:
        for name, timing in (("mtia400", "HBM3E-9.0"), ("450", "HBM4-9.0"), ("mtia500", "HBM4E-13.5")):
            found = json.loads(run("run", "hbm", "--gen", name, *SMALL, "--json")[1])
            assert found["timing"] == timing

    @pytest.mark.parametrize(
        "pattern", ["triad", "stream-write", "scatter-reduce", "random", "stride:64", "gather:64", "tree:160"]
    )
    def test_every_pattern_matches(self, run: Run, pattern: str) -> None:
        assert hbm3(run, "--pattern", pattern, "--requests", "200")["match"]

    def test_load_sets_the_pace(self, run: Run) -> None:
        found = hbm3(run, "--load", "0.25", "--requests", "800")
        assert found["steady_fraction"] == pytest.approx(0.25, rel=0.02)
        assert (found["load"], found["latency_from"], found["latency_ns"]["max"]) == (0.25, "issue", DELAY * CYCLE)

    def test_latency_of_writes_only_without_reads(self, run: Run) -> None:
        assert hbm3(run, *SMALL)["latency_of"] == "reads"
        assert hbm3(run, "--pattern", "stream-write", *SMALL)["latency_of"] == "requests"

    def test_contents_that_differ(self, run: Run, channel: type[FakeChannel]) -> None:
        channel.rots = 1
        found = hbm3(run, "--pattern", "stream-write", *SMALL)
        assert found["mismatches"] == 60
        assert (found["first_mismatch"]["request"], found["first_mismatch"]["address"]) == (None, 0)

    def test_atom_that_nobody_wrote(self, run: Run, channel: type[FakeChannel]) -> None:
        channel.strays = (7,)
        found = hbm3(run, *SMALL)
        assert (found["mismatches"], found["first_mismatch"]["channel"]) == (1, "wrote key 0x7")

    def test_refresh_cost(self, run: Run, channel: type[FakeChannel]) -> None:
        found = hbm3(run, *SMALL, "--refresh", "all-bank", "--refresh-cost")
        assert found["refresh"]["cost"] == 0
        assert channel.built == [("all-bank", False), ("off", False)]
        assert "cost  " in run("run", "hbm", "--refresh-cost", *SMALL)[1]

    def test_uses_of_banks(self, run: Run, channel: type[FakeChannel]) -> None:
        channel.commands = (
            "0,0,0,ACT,0,0,0,5,",
            "31,0,0,RD,0,0,0,,0",
            "35,0,0,RD,0,0,0,,1",
            "45,0,0,PRE,0,0,0,,",
            "72,0,0,ACT,0,0,0,6,",
            "103,0,0,RD,0,0,0,,0",
            "117,0,0,PRE,0,0,0,,",
            "145,0,0,REFPB,0,0,0,,",
            "466,0,0,ACT,0,0,0,7,",
        )
        found = hbm3(run, *SMALL)
        assert (found["hits"], found["activates"], found["conflicts"], found["violations"]) == (0, 3, 1, 0)
        assert found["refresh"]["commands"] == 1
        assert found["refresh"]["owed"] == 0
        share = 320 / (64 * 2 * found["cycles"])
        assert found["refresh"]["bank_time_fraction"] == pytest.approx(share)

    def test_all_bank_refresh_is_no_conflict(self, run: Run, channel: type[FakeChannel]) -> None:
        channel.commands = (
            "0,0,1,ACT,0,0,0,5,",
            "45,0,1,PRE,0,0,0,,",
            "73,0,1,REFAB,,,,,",
            "634,0,1,ACT,0,0,0,7,",
            "679,0,1,PRE,0,0,0,,",
            "706,0,1,ACT,0,0,0,8,",
        )
        found = hbm3(run, *SMALL, "--refresh", "all-bank")
        assert (found["conflicts"], found["violations"]) == (1, 0)


class TestTrace:
    def test_file(self, run: Run, tmp_path: pathlib.Path) -> None:
        (tmp_path / "t").write_text("W 0x40 3\nR 0x40 5\nRED 0x80 9\nR 0x100000 9\n")
        found = hbm3(run, "--trace", str(tmp_path / "t"), "--out", str(tmp_path / "o.csv"))
        rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
        assert (found["match"], found["source"], found["latency_from"]) == (True, str(tmp_path / "t"), "issue")
        assert [row["operation"] for row in rows] == ["W", "R", "RED", "R"]
        assert [row["issued"] for row in rows] == ["3", "5", "9", "9"]
        assert rows[3]["address"] == "0x100000"
        assert int(rows[0]["answered"]) == 3 + DELAY

    def test_ordered_sum(self, run: Run, tmp_path: pathlib.Path, channel: type[FakeChannel]) -> None:
        """Of the atoms behind; told as slots, and found out where the contents in the end are not right."""
        (tmp_path / "t").write_text("W 0x20\nW 0x40\nTREE 0 2\nR 0\n")
        words = ("--timing", "HBM3-6.4", "--trace", str(tmp_path / "t"))
        found = hbm3(run, *words[2:])
        assert (found["match"], found["operations"]["TREE"], found["tree_slots"]) == (True, 1, 2)
        status, out, _ = run("run", "hbm", *words)
        assert status == 0
        assert "1 R, 2 W, 1 TREE" in out
        assert "read by the memory for TREE" in out
        channel.flips = {(0, 3): 1}
        assert not hbm3(run, *words[2:])["match"]

    def test_slots_beyond_the_pseudo_channel_wrong(
        self, refused: Refused, tmp_path: pathlib.Path, channel: type[FakeChannel]
    ) -> None:
        (tmp_path / "t").write_text("TREE 0x3fffff80 4\n")
        words = ("--timing", "HBM3-6.4", "--trace", str(tmp_path / "t"))
        expected = "Slots of the TREE at 0x3fffff80 must be within its pseudo-channel, not 4"
        assert expected in refused("run", "hbm", *words)
        assert channel.built == []

    def test_line_wrong(self, refused: Refused, tmp_path: pathlib.Path, channel: type[FakeChannel]) -> None:
        (tmp_path / "t").write_text("R 0x40\nQ 1\n")
        text = refused("run", "hbm", "--trace", str(tmp_path / "t"))
        assert f"{tmp_path / 't'}: line 2 must be 'R ADDRESS'" in text
        assert channel.runs == 0

    def test_address_beyond_the_channel_wrong(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        (tmp_path / "t").write_text("R 0x40000000\n")
        words = ("--timing", "HBM3-6.4", "--trace", str(tmp_path / "t"))
        assert "line 1 must have an address below the channel's 0x40000000" in refused("run", "hbm", *words)

    @pytest.mark.parametrize("words", [("--pattern", "stream"), ("--requests", "3")])
    def test_pattern_beside_a_file_wrong(self, refused: Refused, words: tuple[str, str]) -> None:
        text = refused("run", "hbm", "--trace", "t", *words)
        assert f"{words[0]} must not come with --trace" in text

    @pytest.mark.parametrize("words", [("--load", "0.5"), ("--plot", "x.svg")])
    def test_load_beside_cycles_wrong(self, refused: Refused, words: tuple[str, str], tmp_path: pathlib.Path) -> None:
        (tmp_path / "t").write_text("R 0 1\n")
        text = refused("run", "hbm", "--trace", str(tmp_path / "t"), *words)
        assert f"{words[0]} must not come with a trace that has cycles of issue" in text

    def test_missing_file_wrong(self, refused: Refused) -> None:
        assert "nowhere: No such file" in refused("run", "hbm", "--trace", "nowhere")


class TestPlot:
    def test_picture(self, run: Run, tmp_path: pathlib.Path, channel: type[FakeChannel]) -> None:
        found = hbm3(run, *SMALL, "--plot", str(tmp_path / "p.svg"))
        assert [point["load"] for point in found["sweep"]] == [0.5, 1.0]
        assert found["sweep"][0]["bandwidth_fraction"] < found["sweep"][1]["bandwidth_fraction"]
        picture = ElementTree.parse(tmp_path / "p.svg").getroot()
        words = [each.text for each in picture.iter() if each.tag.endswith("text")]
        assert words[0] == "HBM3-6.4, stream, refresh per-bank"
        assert {"p50", "p99", "mean", "latency, ns"} <= set(words)
        assert sum(each.get("class") == "c" for each in picture.iter()) == 1 + 3 + 3

    def test_table(self, run: Run, tmp_path: pathlib.Path) -> None:
        out = run("run", "hbm", *SMALL, "--plot", str(tmp_path / "p.svg"))[1]
        assert "load %" in out

    def test_failure_in_the_sweep_counts(
        self, run: Run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, channel: type[FakeChannel]
    ) -> None:
        measure = run_hbm_session.Session.measure

        def spoilt(self, accesses, **options):
            channel.rots = options["load"] == 1.0
            return measure(self, accesses, **options)

        monkeypatch.setattr(run_hbm_session.Session, "measure", spoilt)
        words = ("--pattern", "stream-write", *SMALL, "--plot", str(tmp_path / "p.svg"))
        status, out, _ = run("run", "hbm", *words)
        assert status == 1
        assert out.count("PASS") == out.count("FAIL") == 1


class TestProgress:
    @pytest.mark.parametrize(
        "words, labels", [((), ["a channel of HBM3E-8.0"]), (("--plot", "p.svg"), ["a load of 50%"])]
    )
    def test_bar(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, words: tuple[str], labels: list[str]
    ) -> None:
        """On a terminal, for the run and for each load; it is taken away."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(progress, "_BAR_AFTER", 0.0)
        monkeypatch.setattr(progress, "_BAR_EVERY", 0.0)
        monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
        _, _, err = run("run", "hbm", *SMALL, *words)
        for label in labels:
            assert f"\rsimulating {label} [" in err
        assert "100%" in err
        assert err.endswith("\r\x1b[K")

    def test_help_says_what_is_recorded(self, run: Run) -> None:
        assert "record every signal of the channel" in " ".join(run("run", "hbm", "--help")[1].split())


class TestWaves:
    @pytest.fixture(autouse=True)
    def no_design(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run_hbm_waves, "describe_design", lambda design: {"design": design})

    def test_folder(self, run: Run, tmp_path: pathlib.Path, channel: type[FakeChannel]) -> None:
        status, out, _ = run("run", "hbm", *SMALL, "--waves", str(tmp_path / "w"))
        kept = json.loads((tmp_path / "w" / "run.json").read_text())
        assert status == 0
        assert channel.built == [("per-bank", True)]
        assert f"waves: 138 cycles in {tmp_path / 'w'}\nto see them: mtia waves {tmp_path / 'w'}\n" in out
        assert (kept["work"], kept["requests"], kept["recorded_cycles"], kept["streams"]) == ("hbm", 60, 138, {})
        assert json.loads((tmp_path / "w" / kept["ports"]).read_text()) == {"design": "design"}
        assert (tmp_path / "w" / kept["waves"]).read_bytes() == b"waves"

    def test_cycles(self, run: Run, tmp_path: pathlib.Path) -> None:
        """Recording stops there; the run goes on."""
        status, out, _ = run("run", "hbm", *SMALL, "--waves", str(tmp_path / "w"), "--waves-cycles", "100")
        assert status == 0
        assert f"waves: 100 cycles in {tmp_path / 'w'}\n" in out
        assert json.loads((tmp_path / "w" / "run.json").read_text())["requests"] == 60

    def test_json_names_the_folder(self, run: Run, tmp_path: pathlib.Path) -> None:
        found = json.loads(run("run", "hbm", *SMALL, "--waves", str(tmp_path / "w"), "--json")[1])
        assert found["waves"] == str(tmp_path / "w")

    def test_heading_of_the_page(self, run: Run, tmp_path: pathlib.Path, channel: type[FakeChannel]) -> None:
        for flips, badge in (({}, "PASS"), ({(0, 0): 1}, "FAIL")):
            channel.flips = flips
            run("run", "hbm", *SMALL, "--waves", str(tmp_path / "w"))
            summary = json.loads((tmp_path / "w" / "run.json").read_text())
            recorded: Any = SimpleNamespace(summary=summary)
            heading = waves._heading(recorded, 0, 9)
            assert (heading.title, heading.badge) == ("HBM channel, HBM3E-8.0", badge)
            assert heading.facts.startswith("60 requests, stream · ")

    def test_folder_of_something_else_wrong(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        assert "--waves must name a new folder" in refused("run", "hbm", *SMALL, "--waves", str(tmp_path))


class TestWrong:
    @pytest.mark.parametrize("value", ["0", "1.01", "-1", "x", "nan"])
    def test_load(self, refused: Refused, value: str) -> None:
        assert f"Load must be above 0 and at most 1, not '{value}'" in refused("run", "hbm", "--load", value)

    def test_timing(self, refused: Refused) -> None:
        assert "did you mean HBM3-6.4" in refused("run", "hbm", "--timing", "HBM3-6.5")

    def test_timing_file(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        assert "file must be readable" in refused("run", "hbm", "--timing", str(tmp_path / "mine.toml"))

    def test_timing_of_a_file(self, run: Run, tmp_path: pathlib.Path) -> None:
        (tmp_path / "mine.toml").write_text('base = "HBM3-6.4"\n')
        assert run("run", "hbm", "--timing", str(tmp_path / "mine.toml"), *SMALL)[1].startswith("A channel of mine\n")

    def test_pattern(self, refused: Refused) -> None:
        assert "did you mean stream" in refused("run", "hbm", "--pattern", "streem")
        assert "multiple of 32 bytes" in refused("run", "hbm", "--pattern", "gather:10")

    def test_refresh(self, refused: Refused) -> None:
        assert "did you mean per-bank" in refused("run", "hbm", "--refresh", "perbank")

    def test_requests(self, refused: Refused) -> None:
        assert "Requests must be a whole number of at least 1, not '0'" in refused("run", "hbm", "--requests", "0")

    @pytest.mark.parametrize("option", ["--out", "--commands", "--plot"])
    def test_place(self, refused: Refused, option: str, tmp_path: pathlib.Path, channel: type[FakeChannel]) -> None:
        for place in (tmp_path, tmp_path / "nowhere" / "file"):
            text = refused("run", "hbm", option, str(place))
            assert f"{option} must be a file in a folder that is there, not {place}" in text
        assert channel.runs == 0

    def test_channel_that_stalls(self, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
        def stall(*_: object, **__: object) -> None:
            raise SimulationError("channel stalled after 20000 cycles")

        monkeypatch.setattr(FakeChannel, "run", stall)
        assert "the channel did not finish: channel stalled after" in refused("run", "hbm", *SMALL)

    def test_model_that_does_not_build(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise BuildError("no compiler\nmore")

        monkeypatch.setattr(run_hbm_session, "HbmRun", refuse)
        with pytest.raises(UserError, match=r"no compiler \(see: mtia doctor\)"):
            run_hbm_session.Session(run_hbm.hbm.get("HBM3-6.4"))


def test_answers_are_the_atoms_of_the_addresses(run: Run, channel: type[FakeChannel]) -> None:
    """A word of the fake's answers, known by its own definition, so that both sides are not wrong alike."""
    assert hbm3(run, "--requests", "4")["match"]
    assert int(default_words([0])[0, 0]) == 0x92CA2F0E
