"""Organizations and timing sets: the rule behind the derived sets, the stacks, the options, every error."""

import dataclasses
import doctest
import math
import pickle
import re
from fractions import Fraction

import pytest

from mtia import generations, hbm
from mtia.hbm import DERIVED, FLOORS, MEANINGS, SETS, STACKS, Organization, Parameter, TimingSet

ALL = list(SETS.values())
HBM3 = hbm.get("HBM3-6.4")
HBM3E = hbm.get("HBM3E-9.0")
HBM4E = hbm.get("HBM4E-13.5")

#: typed a second time here, in the order of MEANINGS without BL, PPD and RFM
TYPED = {
    "HBM2-2.0": "14 5 14 12 14 34 48 4 4 15 2 4 3 6 8 5 16 13 350 160 8 3900",
    "HBM3-6.4": "20 10 31 15 26 45 72 4 5 24 2 4 3 7 10 9 33 20 560 320 13 6240",
    "HBM4-8.0": "20 10 39 19 33 57 90 5 7 30 2 4 2 9 13 12 42 25 900 560 16 7800",
    "HBM3E-8.0": "25 13 39 19 33 57 90 5 7 30 2 4 3 9 13 12 42 25 700 400 16 7800",
    "HBM3E-9.0": "29 15 44 22 37 64 102 6 8 34 2 4 3 10 15 13 47 29 788 450 18 8775",
    "HBM4-9.0": "23 12 44 22 38 65 102 6 8 34 2 4 2 11 15 14 48 29 1013 630 18 8775",
    "HBM4E-13.5": "34 17 66 33 56 97 152 9 12 51 2 4 2 16 22 21 71 43 1519 945 27 13163",
}
TYPED_ORDER = [name for name in MEANINGS if name not in ("BL", "PPD", "RFM")]


def wrong(message: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(message)}$")


class TestSets:
    def test_names(self) -> None:
        assert hbm.names() == tuple(TYPED)

    @pytest.mark.parametrize("name", TYPED)
    def test_values(self, name: str) -> None:
        assert [hbm.get(name)[item] for item in TYPED_ORDER] == [int(word) for word in TYPED[name].split()]

    @pytest.mark.parametrize("name", TYPED)
    def test_the_others(self, name: str) -> None:
        timing = hbm.get(name)
        assert (timing["BL"], timing["RFM"]) == (2, timing["RFCPB"])
        assert timing["PPD"] == (1 if name == "HBM2-2.0" else 2)
        assert (timing.raaimt, timing.raammt) == ((0, 0) if name == "HBM2-2.0" else (80, 240))
        assert (timing.faw_scope, timing.refresh_postpone) == ("pseudo_channel", 8)

    def test_doctest(self) -> None:
        assert doctest.testmod(hbm).failed == 0

    @pytest.mark.parametrize("name, origin", DERIVED.items())
    @pytest.mark.parametrize("item", MEANINGS)
    def test_derived_by_the_rule(self, name: str, origin: str, item: str) -> None:
        """ns held, rounded up to CK; the floors kept in CK. The published table agrees everywhere."""
        timing, source = hbm.get(name), hbm.get(origin)
        ck_of_source = Fraction(4) / Fraction(str(source.pin_gbps))
        ns = Fraction(8) if item == "RREFD" else source[item] * ck_of_source
        by_rule = math.ceil(ns * Fraction(str(timing.pin_gbps)) / 4)
        assert timing[item] == (source[item] if item in FLOORS else by_rule)
        assert timing.parameters[item].source == f"derived from {origin}"

    @pytest.mark.parametrize("name, origin", DERIVED.items())
    def test_at_rate_gives_the_derived_sets(self, name: str, origin: str) -> None:
        timing = hbm.get(name)
        made = hbm.get(origin).at_rate(timing.pin_gbps, name=name)
        assert made.tck_ns == pytest.approx(timing.tck_ns, rel=1e-12)
        for item in MEANINGS:
            assert made.parameters[item].ck == timing.parameters[item].ck, item
            assert made.parameters[item].ns == pytest.approx(timing.parameters[item].ns), item
            assert made.parameters[item].source == timing.parameters[item].source

    @pytest.mark.parametrize("timing", ALL, ids=lambda timing: timing.name)
    def test_every_value_has_a_source_and_covers_its_ns(self, timing: TimingSet) -> None:
        assert list(timing.parameters) == list(MEANINGS)
        for name, row in timing.parameters.items():
            assert (row.name, row.meaning) == (name, MEANINGS[name])
            assert re.match(r"derived|Ramulator 2\.1|Samsung PIM", row.source), name
            assert row.ns <= row.ck * timing.tck_ns * (1 + 1e-9) < row.ns + timing.tck_ns * (1 + 1e-9), name
        assert "second-hand" in timing.organization.source

    def test_bandwidths(self) -> None:
        assert [timing.stack_gbs for timing in ALL] == pytest.approx([256, 819.2, 2048, 1024, 1152, 2304, 3456])
        assert [timing.pseudo_channel_gbs for timing in ALL] == pytest.approx([16, 25.6, 32, 32, 36, 36, 54])
        for timing in ALL:  # an atom in BL
            assert 32 / (timing["BL"] * timing.tck_ns) == pytest.approx(timing.pseudo_channel_gbs)

    def test_get(self) -> None:
        assert hbm.get("hbm3e-9.0") is HBM3E
        assert hbm.get(HBM3E) is HBM3E

    def test_get_wrong(self) -> None:
        message = r"^Timing set must be one of HBM2-2\.0, .*, not 'HBM3E-9'; did you mean HBM3E-9\.0"
        with pytest.raises(ValueError, match=message):
            hbm.get("HBM3E-9")

    def test_unknown_parameter(self) -> None:
        with pytest.raises(KeyError, match="did you mean RFCAB"):
            HBM3["RFCA"]

    def test_hash_and_pickle(self) -> None:
        assert len({*ALL, *ALL}) == len(ALL)
        assert pickle.loads(pickle.dumps(HBM4E)) == HBM4E


class TestStacks:
    @pytest.mark.parametrize("standard", STACKS)
    def test_sizes(self, standard: str) -> None:
        for size in STACKS[standard]:
            assert hbm.organization_of(standard, size).stack_bytes == size << 30

    @pytest.mark.parametrize(
        "standard, size, height, sids, rows",
        [
            ("HBM3", 16, 8, 2, 16384),
            ("HBM3E", 36, 12, 3, 24576),
            ("HBM4", 36, 12, 3, 12288),
            ("HBM4E", 48, 12, 3, 16384),
            ("HBM4E", 64, 16, 4, 16384),
        ],
    )
    def test_shape(self, standard: str, size: int, height: int, sids: int, rows: int) -> None:
        made = hbm.organization_of(standard, size)
        assert (made.standard, made.stack_height, made.sids, made.rows) == (standard, height, sids, rows)
        assert made.banks == 16 * sids

    def test_defaults(self) -> None:
        assert [timing.organization.stack_bytes >> 30 for timing in ALL] == [8, 16, 36, 36, 36, 36, 48]
        assert (HBM3.organization.row_bytes, HBM3.organization.atom_bytes) == (1024, 32)
        assert HBM3.organization.pseudo_channel_bytes == 1 << 29

    def test_of_a_timing_set(self) -> None:
        made = HBM4E.with_stack(64)
        assert made.organization == hbm.organization_of("HBM4E", 64)
        assert dataclasses.replace(made, organization=HBM4E.organization) == HBM4E

    def test_row_bus(self) -> None:
        buses = {(row.organization.act_bus_ck, row.organization.row_bus_ck) for row in ALL[1:]}
        assert buses == {(1.5, 0.5)}
        assert (ALL[0].organization.act_bus_ck, ALL[0].organization.row_bus_ck) == (2, 1)

    @pytest.mark.parametrize("size", [0, 40, "36", 36.0, [36]])
    def test_size_wrong(self, size: object) -> None:
        with pytest.raises(ValueError, match=wrong(f"stack_gb must be one of 8, 16, 24, 32, 36, 48, not {size!r}")):
            HBM3E.with_stack(size)  # type: ignore[arg-type]

    def test_standard_wrong(self) -> None:
        with pytest.raises(ValueError, match=r"^Standard must be one of .*, not 'HBM5'; did you mean"):
            hbm.organization_of("HBM5", 36)


class TestOrganization:
    def made(self, **changes: object) -> Organization:
        return dataclasses.replace(HBM3.organization, **changes)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["channels", "pseudo_channels", "sids", "bank_groups", "banks_per_group"])
    def test_kind_wrong(self, name: str) -> None:
        for value in (2.0, "2", True):
            with pytest.raises(TypeError, match=wrong(f"{name} must be an integer, not {value!r}")):
                self.made(**{name: value})

    @pytest.mark.parametrize(
        "name, value, rule",
        [
            ("channels", 0, "in 1 to 64"),
            ("channels", 12, "a power of two"),
            ("pseudo_channels", 1, "in 2 to 2"),
            ("sids", 9, "in 1 to 8"),
            ("bank_groups", 3, "a power of two"),
            ("banks_per_group", 32, "in 1 to 16"),
            ("rows", 1, "in 2 to 1048576"),
            ("columns", 24, "a power of two"),
            ("columns", 2, "in 4 to 256"),
            ("dq", 24, "a power of two"),
            ("burst_length", 1, "in 2 to 16"),
            ("stack_height", 0, "in 1 to 32"),
            ("act_bus_ck", 3, "0.5, 1, 1.5 or 2"),
            ("row_bus_ck", 0, "0.5, 1, 1.5 or 2"),
        ],
    )
    def test_range_wrong(self, name: str, value: int, rule: str) -> None:
        with pytest.raises(ValueError, match=wrong(f"{name} must be {rule}, not {value!r}")):
            self.made(**{name: value})

    def test_no_power_of_two_needed(self) -> None:
        assert self.made(sids=3, rows=24577).banks == 48

    def test_atom_wrong(self) -> None:
        with pytest.raises(ValueError, match=wrong("dq x burst_length must be 256 bits, not 128")):
            self.made(burst_length=4)

    @pytest.mark.parametrize("standard", ["HBM9", None])
    def test_standard_wrong(self, standard: object) -> None:
        with pytest.raises(ValueError, match=rf"^standard must be one of HBM2, .*, not {standard!r}"):
            self.made(standard=standard)

    def test_bank_groups(self) -> None:
        of = hbm.get("HBM4-9.0").organization
        assert (of.bank_groups, of.banks_per_group) == (2, 8)
        regrouped = of.with_bank_groups(4)
        assert (regrouped.bank_groups, regrouped.banks_per_group, regrouped.banks) == (4, 4, of.banks)

    @pytest.mark.parametrize("groups", [0, 3, 2.0])
    def test_bank_groups_wrong(self, groups: object) -> None:
        with pytest.raises(ValueError, match=wrong(f"bank_groups must divide 16, not {groups!r}")):
            HBM3.organization.with_bank_groups(groups)  # type: ignore[arg-type]


class TestOptions:
    def test_faw_scope(self) -> None:
        assert HBM3.with_options(faw_scope="sid").faw_scope == "sid"

    def test_rtw_rule(self) -> None:
        made = HBM3.with_options(rtw_rule=True)
        assert made["RTW"] == 20 + 2 + 2 - 10
        assert made.parameters["RTW"].source == "derived: CL + BL + 2 - CWL"
        assert HBM3.with_options(rtw_rule=False) == HBM3

    def test_bank_groups(self) -> None:
        assert hbm.get("HBM4-9.0").with_options(bank_groups=4).organization.banks_per_group == 4

    def test_parameters(self) -> None:
        made = HBM4E.with_parameters(CCDL=6, FAW=50)
        assert (made["CCDL"], made["FAW"], made.parameters["FAW"].source) == (6, 50, "user")
        assert made.with_parameters(CCDL=4, FAW=51).parameters.keys() == HBM4E.parameters.keys()

    @pytest.mark.parametrize("timing", ALL, ids=lambda timing: timing.name)
    @pytest.mark.parametrize("name", MEANINGS)
    def test_each_parameter_raised_by_one(self, timing: TimingSet, name: str) -> None:
        if name in ("BL", "RFCPB"):  # the clock depends on BL; RFCPB may be no longer than RFCAB and is not
            return
        value = timing[name] + 1
        if name == "WTRS" and value > timing["WTRL"]:
            return
        try:
            made = timing.with_parameters(**{name: value})
        except ValueError as error:
            assert re.match(r"[A-Z]+ must be (at most|at least|below) ", str(error))  # noqa: PT017 - the few at a limit
        else:
            assert made[name] == value

    def test_parameters_wrong(self) -> None:
        with pytest.raises(ValueError, match=r"^Parameter must be one of .*, not 'FAV'; did you mean FAW"):
            HBM3.with_parameters(FAV=1)
        with pytest.raises(TypeError, match=wrong("FAW must be an integer, not 24.0")):
            HBM3.with_parameters(FAW=24.0)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=wrong("FAW must be in 1 to 65535, not 0")):
            HBM3.with_parameters(FAW=0)

    @pytest.mark.parametrize("rate", [0, 65, "9", float("nan")])
    def test_rate_wrong(self, rate: object) -> None:
        with pytest.raises(ValueError, match=wrong(f"pin_gbps must be in 0.1 to 64, not {rate!r}")):
            HBM3.at_rate(rate)  # type: ignore[arg-type]

    def test_rate_names_itself(self) -> None:
        assert HBM3.at_rate(5.6).name == "HBM3-5.6"
        assert HBM3.at_rate(5.6)["CL"] == math.ceil(12.5 * 5.6 / 4)


class TestTimingSet:
    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"name": ""}, "name must be a word, not ''"),
            ({"pin_gbps": 0}, "pin_gbps must be in 0.1 to 64, not 0"),
            ({"tck_ns": 0.7}, "tck_ns must be burst_length / BL / pin_gbps = 0.625, not 0.7"),
            ({"faw_scope": "bank"}, "faw_scope must be one of pseudo_channel, sid, not 'bank'"),
            ({"raaimt": -1}, "raaimt must be in 0 to 65536, not -1"),
            ({"raammt": 1 << 17}, "raammt must be in 0 to 65536, not 131072"),
            ({"raammt": 79}, "raammt must be at least raaimt = 80, not 79"),
            ({"refresh_postpone": 9}, "refresh_postpone must be in 1 to 8, not 9"),
            ({"parameters": {}}, f"parameters must be complete, not without {', '.join(MEANINGS)}"),
        ],
    )
    def test_wrong(self, changes: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=wrong(message)):
            dataclasses.replace(HBM3, **changes)  # type: ignore[arg-type]

    def test_organization_wrong(self) -> None:
        with pytest.raises(TypeError, match=wrong("organization must be an Organization, not 'HBM3'")):
            dataclasses.replace(HBM3, organization="HBM3")  # type: ignore[arg-type]

    def test_unknown_parameter(self) -> None:
        row = Parameter(name="FAX", ck=1, ns=1, source="user")
        with pytest.raises(ValueError, match=r"^Parameter must be one of .*, not 'FAX'; did you mean FAW"):
            dataclasses.replace(HBM3, parameters={**HBM3.parameters, "FAX": row})

    def test_parameter_wrong(self) -> None:
        row = dataclasses.replace(HBM3.parameters["RFCAB"], ck=559)
        with pytest.raises(ValueError, match=wrong("RFCAB must cover 350 ns of 0.625 ns, not 559 CK")):
            dataclasses.replace(HBM3, parameters={**HBM3.parameters, "RFCAB": row})

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"RCDRD": 45}, "RCDRD must be below RAS = 45, not 45"),
            ({"RCDWR": 46}, "RCDWR must be below RAS = 45, not 46"),
            ({"RAS": 72}, "RAS must be below RC = 72, not 72"),
            ({"RP": 72}, "RP must be below RC = 72, not 72"),
            ({"RTP": 45}, "RTP must be below RAS = 45, not 45"),
            ({"RFCAB": 6240}, "RFCAB must be below REFI = 6240, not 6240"),
            ({"REFI": 500}, "RFCAB must be below REFI = 500, not 560"),
            ({"RFCPB": 6240, "RFCAB": 6239}, "RFCPB must be below REFI = 6240, not 6240"),
            ({"RFM": 6240}, "RFM must be below REFI = 6240, not 6240"),
            ({"CCDS": 1}, "BL must be at most CCDS = 1, not 2"),
            ({"CCDL": 1}, "CCDS must be at most CCDL = 1, not 2"),
            ({"CCDR": 1}, "CCDS must be at most CCDR = 1, not 2"),
            ({"RRDS": 6}, "RRDS must be at most RRDL = 5, not 6"),
            ({"FAW": 4}, "RRDL must be at most FAW = 4, not 5"),
            ({"WTRL": 6}, "WTRS must be at most WTRL = 6, not 7"),
            ({"RFCAB": 319}, "RFCPB must be at most RFCAB = 319, not 320"),
            ({"RTW": 11}, "RTW must be at least CL + BL - CWL = 12, not 11"),
            ({"RREFD": 195}, "REFI must leave RREFD to each of 32 banks, not 6240"),
            ({"BL": 1}, "tck_ns must be burst_length / BL / pin_gbps = 1.25, not 0.625"),
        ],
    )
    def test_contradiction(self, changes: dict[str, int], message: str) -> None:
        with pytest.raises(ValueError, match=wrong(message)):
            HBM3.with_parameters(**changes)

    def test_just_allowed(self) -> None:
        made = HBM3.with_parameters(RCDRD=44, RAS=71, RTW=12, RREFD=194, RRDL=24, RFCPB=560)
        assert made["RREFD"] * made.organization.banks < made["REFI"]


class TestGenerations:
    """The stacks of each generation give the published figures again."""

    @pytest.mark.parametrize("gen", generations.GENERATIONS.values(), ids=lambda gen: gen.name)
    def test_timing(self, gen: generations.Generation) -> None:
        memory = gen.structure.hbm
        assert tuple(memory.timings) == memory.stack_gb
        assert memory.timing is not None
        assert memory.timing == memory.timings[memory.stack_gb[0]]
        for size, timing in memory.timings.items():
            of = timing.organization
            assert timing.name == memory.timing_set
            assert of.stack_bytes == size << 30
            assert (of.standard, of.channels, timing.pin_gbps) == (memory.kind, memory.channels, memory.gbps)
            assert of.channels * of.pseudo_channels * of.dq == memory.pins
            bandwidth = memory.stacks * timing.stack_gbs / 1000
            assert bandwidth == pytest.approx(memory.bandwidth, rel=1e-12)
            assert gen.published.hbm_bandwidth.agrees(bandwidth)

    @pytest.mark.parametrize("gen", generations.GENERATIONS.values(), ids=lambda gen: gen.name)
    def test_capacity(self, gen: generations.Generation) -> None:
        memory = gen.structure.hbm
        total = tuple((memory.stacks * row.organization.stack_bytes) >> 30 for row in memory.timings.values())
        published = gen.published.hbm_capacity.value
        assert total == (published if isinstance(published, tuple) else (published,))
