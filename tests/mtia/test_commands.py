"""The commands that print data: generations, formats, doctor."""

import json
import pathlib
from collections.abc import Callable

import pytest

from mtia import cli, formats, generations
from mtia.cli import common
from tb import doctor

ROOT = pathlib.Path(cli.__file__).parents[2]

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


class TestGenerations:
    def test_all(self, run: Run) -> None:
        status, out, _ = run("generations")
        assert status == 0
        assert all(gen.title in out for gen in generations.GENERATIONS.values())
        assert "HBM bandwidth (TB/s)        6.1 (6.144)   9.2 (9.216)  18.4 (18.43)     27.6 (27.65)       N\n" in out
        assert (
            "PE grid + spare             12 x 6 + 6    8 x 6 + 6    - (9 x 6 + 6)    - (6 x 6 + 6)      P A U U" in out
        )
        assert "MX4 : MX8 : BF16            - : 2 : 1   4 : 2 : 1    6 : 2 : 1    6 : 2 : 1\n" in out
        assert "sim: MX4 MAC/cycle           -             512           768           768\n" in out

    def test_stars_mark_what_a_note_explains(self, run: Run) -> None:
        _, out, _ = run("generations")
        rows = {line.split("  ")[0]: line for line in out.split("Structure", 1)[1].splitlines()}
        assert rows["PE grid of a chiplet"].count("*") == 3
        assert rows["message engines"].count("*") == 3
        assert rows["PEs of the package"].count("*") == 0
        assert rows["scale-up domain (packages)"].rstrip().endswith("72*")

    def test_some(self, run: Run) -> None:
        _, out, _ = run("generations", "500", "mtia300")
        header = out.splitlines()[0]
        assert header.index("MTIA 500") < header.index("MTIA 300")
        assert "MTIA 400" not in out

    @pytest.mark.parametrize("gen", list(generations.GENERATIONS.values()), ids=lambda gen: gen.name)
    def test_one_has_its_sources_and_reasons(self, run: Run, gen: generations.Generation) -> None:
        _, out, _ = run("generations", gen.title)
        words = " ".join(out.split())
        assert out.startswith(gen.title)
        assert gen.published.module_power.source in words
        for name in gen.formats:
            assert name in words
        for feature in gen.structure.features:
            assert generations.FEATURES[feature] in words
        shown = [why for part, why in gen.notes if why[:30] in words]
        assert len(shown) == len(gen.notes)

    def test_page_shows_what_is_printed(self, run: Run) -> None:
        page = (ROOT / "docs" / "generations.md").read_text()
        _, out, _ = run("generations")
        assert f"`mtia generations` prints this:\n\n```text\n{out}```\n" in page, "docs/generations.md is out of date"

    @pytest.mark.parametrize("words", [(), ("mtia300",), ("mtia450",), ("mtia400", "mtia500")])
    def test_fits_the_width(self, run: Run, words: tuple[str, ...]) -> None:
        _, out, _ = run("generations", *words)
        assert max(map(len, out.splitlines())) <= common.WIDTH

    def test_json(self, run: Run) -> None:
        status, out, _ = run("generations", "--json")
        found = json.loads(out)["generations"]
        assert status == 0
        assert list(found) == list(generations.GENERATIONS)
        for name, gen in generations.GENERATIONS.items():
            row = found[name]
            assert row["derived"]["hbm_bandwidth"] == gen.structure.hbm.bandwidth
            assert row["published"]["hbm_bandwidth"]["mark"] == "N"
            assert row["structure"]["hbm"]["stacks"] == gen.structure.hbm.stacks
            assert tuple(row["engines"]["sim"]["formats"]) == gen.formats
            assert row["notes"] == dict(gen.notes)
        assert found["mtia450"]["engines"]["full"]["macs_per_cycle"]["MXFP4"] == 6144
        assert found["mtia500"]["derived"]["hbm_capacity"] == [384, 512]
        assert found["mtia300"]["derived"]["mx4"] is None

    def test_unknown(self, refused: Refused) -> None:
        assert "argument GEN: Generation must be one of mtia300" in refused("generations", "mtia4500")
        assert "did you mean mtia300" in refused("generations", "mtai300")


class TestFormats:
    def test_all(self, run: Run) -> None:
        status, out, _ = run("formats")
        assert status == 0
        rows = {line.split()[0]: line for line in out.splitlines() if line}
        assert set(formats.FORMATS) <= set(rows)
        assert " ".join(rows["MXFP4"].split()) == "MXFP4 4 1 + 2 + 1 1 6 2^-1 none E8M0 per 32 4.25 32 400+"
        assert rows["NVFP4"].endswith("E4M3 per 16     4.5     16  450+")
        assert rows["FP8_E4M3"].endswith("300+")
        assert max(map(len, out.splitlines())) <= common.WIDTH

    def test_of_a_generation(self, run: Run) -> None:
        _, out, _ = run("formats", "--gen", "300", "--json")
        assert set(json.loads(out)["formats"]) == set(generations.get("300").formats)

    def test_some_in_full(self, run: Run) -> None:
        _, out, _ = run("formats", "mxfp8_e4m3", "TF32")
        assert "448 (code 0x7E)" in out
        assert "2^-9" in out
        assert "19 bits: 1 + 8 + 10" in out
        assert "BF16, FP16, TF32" in out
        assert "NVFP4" not in out
        assert max(map(len, out.splitlines())) <= common.WIDTH

    def test_json(self, run: Run) -> None:
        _, out, _ = run("formats", "--json")
        found = json.loads(out)["formats"]
        assert list(found) == list(formats.FORMATS)
        mx4 = found["MXFP4"]
        assert (mx4["bits"], mx4["max"], mx4["block"], mx4["scale"]) == (4, 6.0, 32, "E8M0")
        assert mx4["multiplies"]["mtia300"] == []
        assert mx4["multiplies"]["mtia400"] == ["MXFP4"]
        assert mx4["multiplies"]["mtia450"] == list(formats.MX_FORMATS)
        assert found["MXINT8"]["min_normal"] is None

    def test_unknown(self, refused: Refused) -> None:
        assert "argument FORMAT: Format must be one of" in refused("formats", "mxpf4")
        assert "did you mean MXFP4" in refused("formats", "mxpf4")

    def test_one_that_the_generation_lacks(self, refused: Refused) -> None:
        assert refused("formats", "MXFP4", "--gen", "mtia300") == (
            "mtia: error: MTIA 300 has no MXFP4; its formats: FP8_E5M2, FP8_E4M3, BF16, FP16, TF32\n"
        )


def check(name: str, ok: bool, needed: bool) -> doctor.Check:
    return doctor.Check(name=name, ok=ok, needed=needed, found="1.0", mend=f"apt install {name}")


class TestDoctor:
    @pytest.mark.parametrize(
        "compiler, ccache, status", [(True, True, 0), (True, False, 0), (False, True, 1), (False, False, 1)]
    )
    def test_status(self, run: Run, monkeypatch: pytest.MonkeyPatch, compiler: bool, ccache: bool, status: int) -> None:
        checks = [check("g++", compiler, True), check("ccache", ccache, False)]
        monkeypatch.setattr(doctor, "checks", lambda: checks)
        monkeypatch.setattr(doctor, "render", lambda rows: " ".join(row.name for row in rows))
        assert run("doctor") == (status, "g++ ccache\n", "")
        found_status, out, _ = run("doctor", "--json")
        found = json.loads(out)
        assert found_status == status
        assert found["ok"] is (status == 0)
        assert [row["ok"] for row in found["checks"]] == [compiler, ccache]
        assert found["checks"][0]["mend"] == "apt install g++"

    def test_real_checks(self, run: Run) -> None:
        status, out, _ = run("doctor", "--json")
        found = json.loads(out)
        failed = [row for row in found["checks"] if row["needed"] and not row["ok"]]
        assert found["checks"]
        assert status == (1 if failed else 0)
