"""The table of formats against the standards' own figures and against decoders that we did not write."""

import ast
import math
import pathlib
import sys

import numpy as np
import pytest

from mtia import formats
from mtia.formats import ELEMENTS, FORMATS, MX_FORMATS, Element, Format, Scale, Specials
from tests.oracles import ORACLES


def decode_all(name: str) -> np.ndarray:
    """Values of all codes of an element, in the order of the codes."""
    width = ELEMENTS[name].width
    codes = np.arange(1 << width, dtype=np.uint8 if width <= 8 else np.uint16)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return codes.view(ORACLES[name]).astype(np.float64)


class TestElements:
    @pytest.mark.parametrize(
        "name, width, bias, emax, top, min_normal, step",
        [  # Ref: OCP MX v1.0, tables of section 5.3; IEEE 754-2019, table 3.5
            ("E5M2", 8, 15, 15, 57344, 2**-14, 2**-16),
            ("E4M3", 8, 7, 8, 448, 2**-6, 2**-9),
            ("E3M2", 6, 3, 4, 28, 0.25, 0.0625),
            ("E2M3", 6, 1, 2, 7.5, 1, 0.125),
            ("E2M1", 4, 1, 2, 6, 1, 0.5),
            ("INT8", 8, 0, 0, 127 / 64, 1, 1 / 64),
            ("BF16", 16, 127, 127, (2 - 2**-7) * 2.0**127, 2.0**-126, 2.0**-133),
            ("FP16", 16, 15, 15, 65504, 2**-14, 2**-24),
            ("TF32", 19, 127, 127, (2 - 2**-10) * 2.0**127, 2.0**-126, 2.0**-136),
            ("FP32", 32, 127, 127, float(np.finfo(np.float32).max), 2.0**-126, 2.0**-149),
        ],
    )
    def test_figures(
        self, name: str, width: int, bias: int, emax: int, top: float, min_normal: float, step: float
    ) -> None:
        row = ELEMENTS[name]
        assert row.name == name
        assert (row.width, row.bias, row.emax) == (width, bias, emax)
        assert (row.max_value, 2.0**row.emin, row.min_subnormal) == (top, min_normal, step)

    def test_every_element_has_figures_here(self) -> None:
        (mark,) = TestElements.test_figures.pytestmark  # type: ignore[attr-defined]
        assert {row[0] for row in mark.args[1]} == set(ELEMENTS)

    @pytest.mark.parametrize("name", list(ORACLES))
    def test_every_code_by_layout(self, name: str) -> None:
        """Sign, exponent, mantissa from the top bit down, as the row says, is what the oracle decodes."""
        row, values = ELEMENTS[name], decode_all(name)
        for code, value in enumerate(values):
            sign = -1 if code >> (row.width - 1) else 1
            exponent = (code >> row.mantissa_bits) & ((1 << row.exponent_bits) - 1)
            fraction = code & ((1 << row.mantissa_bits) - 1)
            if not math.isfinite(value):
                assert code & ((1 << (row.width - 1)) - 1) > row.max_code
                continue
            hidden = (1 << row.mantissa_bits) if exponent else 0
            scale = max(exponent - row.bias, row.emin) - row.mantissa_bits
            assert value == sign * (hidden + fraction) * 2.0**scale
            assert math.copysign(1, value) == sign

    @pytest.mark.parametrize("name", list(ORACLES))
    def test_extremes(self, name: str) -> None:
        row, values = ELEMENTS[name], decode_all(name)
        finite = values[np.isfinite(values)]
        assert row.max_value == finite.max() == values[row.max_code]
        assert row.min_subnormal == finite[finite > 0].min()

    @pytest.mark.parametrize("name", list(ORACLES))
    def test_specials(self, name: str) -> None:
        row, values = ELEMENTS[name], decode_all(name)
        nans, infinities = int(np.isnan(values).sum()), int(np.isinf(values).sum())
        expected = {
            Specials.NONE: (0, 0),
            Specials.NAN_ONLY: (2, 0),
            Specials.IEEE: (2 * ((1 << row.mantissa_bits) - 1), 2),
        }
        assert (nans, infinities) == expected[row.specials]

    def test_integer(self) -> None:
        row = ELEMENTS["INT8"]
        assert row.is_integer
        assert not any(other.is_integer for other in ELEMENTS.values() if other is not row)
        assert (row.max_code, row.significand_bits) == (127, 8)

    @pytest.mark.parametrize(
        "name, bits", [("E5M2", 70), ("E4M3", 42), ("E3M2", 24), ("E2M3", 18), ("E2M1", 14), ("INT8", 21)]
    )
    def test_bits_of_an_exact_group_sum(self, name: str, bits: int) -> None:
        """Two's complement bits of the sum of 32 products, in units of the product of two steps."""
        row = ELEMENTS[name]
        largest = 128 if row.is_integer else int(row.max_value / row.min_subnormal)
        assert (32 * largest**2).bit_length() + 1 == bits

    @pytest.mark.parametrize("name", [name for name in ELEMENTS if name != "INT8"])
    def test_significand_bits(self, name: str) -> None:
        row = ELEMENTS[name]
        assert row.significand_bits == row.mantissa_bits + 1
        assert row.max_value / 2.0**row.emax * 2**row.mantissa_bits < 1 << row.significand_bits

    def test_tf32_is_a_cut_of_fp32(self) -> None:
        tf32, fp32 = ELEMENTS["TF32"], ELEMENTS["FP32"]
        assert (tf32.exponent_bits, tf32.bias, tf32.specials) == (fp32.exponent_bits, fp32.bias, fp32.specials)
        assert tf32.mantissa_bits == ELEMENTS["FP16"].mantissa_bits


class TestFormats:
    @pytest.mark.parametrize(
        "name, element, block, scale, group, stored",
        [
            ("MXFP8_E5M2", "E5M2", 32, Scale.E8M0, 32, 8.25),
            ("MXFP8_E4M3", "E4M3", 32, Scale.E8M0, 32, 8.25),
            ("MXFP6_E3M2", "E3M2", 32, Scale.E8M0, 32, 6.25),
            ("MXFP6_E2M3", "E2M3", 32, Scale.E8M0, 32, 6.25),
            ("MXFP4", "E2M1", 32, Scale.E8M0, 32, 4.25),
            ("MXINT8", "INT8", 32, Scale.E8M0, 32, 8.25),
            ("NVFP4", "E2M1", 16, Scale.E4M3, 16, 4.5),
            ("FP8_E5M2", "E5M2", None, Scale.NONE, 32, 8),
            ("FP8_E4M3", "E4M3", None, Scale.NONE, 32, 8),
            ("BF16", "BF16", None, Scale.NONE, 16, 16),
            ("FP16", "FP16", None, Scale.NONE, 16, 16),
            ("TF32", "TF32", None, Scale.NONE, 16, 19),
        ],
    )
    def test_rows(self, name: str, element: str, block: "int | None", scale: Scale, group: int, stored: float) -> None:
        row = FORMATS[name]
        assert (row.name, row.element, row.block, row.scale) == (name, ELEMENTS[element], block, scale)
        assert (row.group, row.bits_per_element) == (group, stored)
        assert row.is_scaled == (scale is not Scale.NONE)
        assert row.is_wide == (group == 16 and block is None)
        assert row.summary

    def test_every_format_has_a_row_here(self) -> None:
        (mark,) = TestFormats.test_rows.pytestmark  # type: ignore[attr-defined]
        assert {row[0] for row in mark.args[1]} == set(FORMATS)

    def test_six_mx_formats(self) -> None:
        assert MX_FORMATS == ("MXFP8_E5M2", "MXFP8_E4M3", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4", "MXINT8")

    @pytest.mark.parametrize("row", list(FORMATS.values()), ids=lambda row: row.name)
    def test_group_divides_the_block(self, row: Format) -> None:
        assert row.block is None or row.block % row.group == 0

    def test_pairs(self) -> None:
        families = [
            set(MX_FORMATS),
            {"NVFP4"},
            {"FP8_E5M2", "FP8_E4M3"},
            {"BF16", "FP16", "TF32"},
        ]
        assert set.union(*families) == set(FORMATS)
        for a in FORMATS.values():
            for b in FORMATS.values():
                together = any({a.name, b.name} <= family for family in families)
                assert a.pairs_with(b) is together


class TestGet:
    @pytest.mark.parametrize("name", ["MXFP8_E4M3", "mxfp8_e4m3", "MxFp8_E4m3"])
    def test_any_case(self, name: str) -> None:
        assert formats.get(name) is FORMATS["MXFP8_E4M3"]

    def test_of_a_format(self) -> None:
        assert formats.get(FORMATS["BF16"]) is FORMATS["BF16"]

    @pytest.mark.parametrize("name, near", [("mxpf4", "MXFP4"), ("fp8_e4m2", "FP8_E4M3"), ("bfloat16", "BF16")])
    def test_wrong_names_the_nearest(self, name: str, near: str) -> None:
        with pytest.raises(ValueError, match=f"^Format must be one of .*, not '{name}'; did you mean .*{near}"):
            formats.get(name)

    def test_wrong_without_a_near_one(self) -> None:
        with pytest.raises(ValueError, match=r"TF32, not 'posit'$"):
            formats.get("posit")

    def test_unknown_joins_the_nearest(self) -> None:
        assert (
            formats.unknown("Size", "ful", ["full", "fully", "half"])
            == "Size must be one of full, fully, half, not 'ful'; did you mean full or fully?"
        )


def test_module_imports_the_standard_library_only() -> None:
    source = pathlib.Path(formats.__file__).read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported
    assert imported <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("row", list(ELEMENTS.values()), ids=lambda row: row.name)
def test_elements_are_hashable_rows(row: Element) -> None:
    assert {row: 1}[Element(**vars(row))] == 1
