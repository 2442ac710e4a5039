"""Parameters of a tensor engine: what they refuse, which pairs they multiply and how fast."""

import dataclasses
import itertools

import pytest

from mtia import formats
from mtia.engine import LIMITS, EngineParameters, needs_exact_e5m2
from mtia.generations import GENERATIONS, PROFILES, Generation

ALL = list(GENERATIONS.values())
M300, M400, M450, M500 = ALL
MX = formats.MX_FORMATS


def engine(**changes: object) -> EngineParameters:
    fields: dict[str, object] = {
        "units": 8,
        "slices": 1,
        "depth": 64,
        "dense_rows": 3,
        "formats": ("MXFP8_E4M3", "MXFP4"),
        "mixed": True,
    }
    return EngineParameters(**(fields | changes))  # type: ignore[arg-type]


class TestEngineParameters:
    def test_fields(self) -> None:
        """The contract with hdl and golden: exactly these."""
        names = ["units", "slices", "depth", "dense_rows", "formats", "mixed", "window", "exact_e5m2", "deep", "cells"]
        assert [field.name for field in dataclasses.fields(EngineParameters)] == names
        assert (engine().window, engine().exact_e5m2, engine().deep, engine().cells) == (40, True, False, "generic")

    @pytest.mark.parametrize(
        "name, low, high",
        [("units", 1, 64), ("slices", 1, 16), ("depth", 2, 4096), ("dense_rows", 1, 4), ("window", 24, 64)],
    )
    def test_range(self, name: str, low: int, high: int) -> None:
        assert LIMITS[name] == (low, high)
        for value in (low, high):
            assert getattr(engine(**{name: value}), name) == value
        for value in (low - 1, high + 1):
            with pytest.raises(ValueError, match=f"^{name} must be in {low} to {high}, not {value}$"):
                engine(**{name: value})

    @pytest.mark.parametrize("name", list(LIMITS))
    @pytest.mark.parametrize("value", [8.0, "8", True, None])
    def test_kind_of_a_count(self, name: str, value: object) -> None:
        with pytest.raises(TypeError, match=f"^{name} must be an integer, not {value!r}$"):
            engine(**{name: value})

    @pytest.mark.parametrize("name", ["mixed", "exact_e5m2", "deep"])
    def test_kind_of_a_switch(self, name: str) -> None:
        with pytest.raises(TypeError, match=f"^{name} must be True or False, not 1$"):
            engine(**{name: 1})

    @pytest.mark.parametrize("value", ["ice40", None, 5])
    def test_unknown_cells(self, value: object) -> None:
        with pytest.raises(ValueError, match=f"^cells must be one of generic, ecp5, not {value!r}$"):
            engine(cells=value)

    @pytest.mark.parametrize("value", [["MXFP4"], "MXFP4", None])
    def test_kind_of_formats(self, value: object) -> None:
        with pytest.raises(TypeError, match=r"^formats must be a tuple of names, not "):
            engine(formats=value)

    def test_no_format(self) -> None:
        with pytest.raises(ValueError, match=r"^formats must hold at least one format, not \(\)$"):
            engine(formats=())

    @pytest.mark.parametrize("value", ["MXFP5", "mxfp4", 4])
    def test_unknown_format(self, value: object) -> None:
        with pytest.raises(ValueError, match=f"^Format must be one of MXFP8_E5M2, .*, not {value!r}"):
            engine(formats=("MXFP8_E4M3", value))

    def test_unknown_format_names_the_nearest(self) -> None:
        with pytest.raises(ValueError, match="did you mean MXFP4"):
            engine(formats=("MXPF4",))

    def test_repeated_format(self) -> None:
        with pytest.raises(ValueError, match=r"^formats must differ from each other, not \('MXFP4', 'MXFP4'\)$"):
            engine(formats=("MXFP4", "MXFP4"))


class TestPairs:
    @pytest.mark.parametrize("gen", [M450, M500], ids=lambda gen: gen.name)
    def test_21_mx_pairs(self, gen: Generation) -> None:
        pairs = {frozenset((a.name, b.name)) for a, b in gen.engine("sim").pairs() if a.name in MX}
        assert len(pairs) == 21

    def test_pairs_of_the_300(self) -> None:
        pairs = [(a.name, b.name) for a, b in M300.engine().pairs()]
        fp8, half = ("FP8_E5M2", "FP8_E4M3"), ("BF16", "FP16")
        assert pairs == [(a, b) for group in (fp8, half) for a in group for b in group] + [("TF32", "TF32")]

    def test_400_keeps_widths_apart(self) -> None:
        pairs = M400.engine().pairs()
        assert all(a.element.width == b.element.width for a, b in pairs)
        assert (formats.get("MXINT8"), formats.get("MXFP8_E4M3")) in pairs
        assert not M400.engine().supports(formats.get("MXFP4"), formats.get("MXFP8_E4M3"))

    @pytest.mark.parametrize("gen", ALL, ids=lambda gen: gen.name)
    @pytest.mark.parametrize("profile", list(PROFILES))
    def test_pairs_are_what_is_supported(self, gen: Generation, profile: str) -> None:
        made = gen.engine(profile)
        rows = formats.FORMATS.values()
        expected = {(a.name, b.name) for a in rows for b in rows if made.supports(a, b)}
        pairs = [(a.name, b.name) for a, b in made.pairs()]
        assert set(pairs) == expected == {(b, a) for a, b in pairs}
        assert len(pairs) == len(expected)

    def test_order_follows_formats(self) -> None:
        turned = engine(formats=("MXFP4", "MXFP8_E4M3"))
        assert [(a.name, b.name) for a, b in turned.pairs()] == [
            ("MXFP4", "MXFP4"),
            ("MXFP4", "MXFP8_E4M3"),
            ("MXFP8_E4M3", "MXFP4"),
            ("MXFP8_E4M3", "MXFP8_E4M3"),
        ]

    def test_without_exact_e5m2(self) -> None:
        narrow = engine(formats=MX, exact_e5m2=False)
        refused = {frozenset((a.name, b.name)) for a, b in engine(formats=MX).pairs()} - {
            frozenset((a.name, b.name)) for a, b in narrow.pairs()
        }
        assert refused == {frozenset(("MXFP8_E5M2", name)) for name in MX if name != "MXFP4"}
        assert narrow.supports(formats.get("MXFP8_E5M2"), formats.get("MXFP4"))

    def test_scaled_and_plain_never_meet(self) -> None:
        made = M450.engine()
        assert not made.supports(formats.get("MXFP8_E4M3"), formats.get("FP8_E4M3"))
        assert not made.supports(formats.get("NVFP4"), formats.get("MXFP4"))
        assert not made.supports(formats.get("BF16"), formats.get("FP8_E4M3"))

    @pytest.mark.parametrize(
        "a, b, needed",
        [
            ("MXFP8_E5M2", "MXFP8_E5M2", True),
            ("MXFP8_E4M3", "MXFP8_E5M2", True),
            ("FP8_E5M2", "FP8_E4M3", True),
            ("MXFP8_E5M2", "MXFP4", False),
            ("MXFP8_E4M3", "MXFP8_E4M3", False),
            ("BF16", "TF32", False),
        ],
    )
    def test_needs_exact_e5m2(self, a: str, b: str, needed: bool) -> None:
        assert needs_exact_e5m2(formats.get(a), formats.get(b)) is needed
        assert needs_exact_e5m2(formats.get(b), formats.get(a)) is needed

    def test_needs_exact_e5m2_follows_from_the_fields(self) -> None:
        """Whatever the names."""
        for a, b in itertools.product(formats.FORMATS.values(), repeat=2):
            names = {a.element.name, b.element.name}
            assert needs_exact_e5m2(a, b) is ("E5M2" in names and "E2M1" not in names and not (a.is_wide or b.is_wide))
        e5m2 = formats.get("MXFP8_E5M2")
        other = dataclasses.replace(e5m2, name="other", element=dataclasses.replace(e5m2.element, name="other"))
        assert needs_exact_e5m2(other, formats.get("MXFP6_E2M3"))
        assert not needs_exact_e5m2(other, formats.get("MXFP4"))


class TestMacLanes:
    @pytest.mark.parametrize(
        "gen, a, b, lanes",
        [
            (M300, "FP8_E4M3", "FP8_E5M2", 2048),
            (M300, "BF16", "BF16", 1024),
            (M300, "TF32", "TF32", 1024),
            (M400, "MXFP8_E4M3", "MXFP8_E4M3", 2048),
            (M400, "MXFP6_E3M2", "MXFP6_E2M3", 2048),
            (M400, "MXFP4", "MXFP4", 4096),
            (M450, "MXFP4", "MXFP4", 6144),
            (M450, "MXFP4", "MXFP8_E4M3", 2048),
            (M450, "MXINT8", "MXFP4", 2048),
            (M450, "NVFP4", "NVFP4", 3072),
            (M450, "BF16", "TF32", 1024),
        ],
    )
    def test_full(self, gen: Generation, a: str, b: str, lanes: int) -> None:
        assert gen.engine("full").mac_lanes(formats.get(a), formats.get(b)) == lanes

    def test_scales_with_each_size(self) -> None:
        mx4 = formats.get("MXFP4")
        base = engine().mac_lanes(mx4, mx4)
        assert base == 8 * 32 * 3
        assert engine(units=16).mac_lanes(mx4, mx4) == 2 * base
        assert engine(slices=4).mac_lanes(mx4, mx4) == 4 * base
        assert engine(dense_rows=1).mac_lanes(mx4, mx4) == base // 3
        assert engine(depth=2).mac_lanes(mx4, mx4) == base

    def test_unsupported_pair(self) -> None:
        with pytest.raises(ValueError, match=r"^Pair of formats must be one .*, not MXFP4 x MXFP8_E4M3$"):
            M400.engine().mac_lanes(formats.get("MXFP4"), formats.get("MXFP8_E4M3"))
