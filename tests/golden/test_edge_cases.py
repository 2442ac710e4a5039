"""The table of edge cases worked by hand, edge_cases.toml, through both models."""

import pathlib
import tomllib
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from golden.formats import code_dtype, decode, decode_scale
from golden.mx import MXArray, quantize
from golden.reference import Value, element_value, scale_value
from golden.tensor import matmul, matmul_reference
from mtia.formats import ELEMENTS, Scale, get
from tests.golden.support import bits, scales_of

TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads((pathlib.Path(__file__).parent / "edge_cases.toml").read_text())


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{number}-{row['clause'].split(':')[0]}" for number, row in enumerate(rows, 1)]


def same(value: float, text: str) -> bool:
    """Whether a value is what the table says: bits and all."""
    if text in ("nan", "inf", "-inf"):
        return np.array(value).tobytes() == np.array(float(text)).tobytes()
    return Fraction(value) == Fraction(text.removesuffix("0") + "0" if text == "-0" else text) and (
        np.signbit(value) == text.startswith("-")
    )


def same_exact(value: Value, text: str) -> bool:
    """The same for the slow model, which has no negative zero."""
    return same(float(value), text.removeprefix("-") if value == 0 else text)


@pytest.mark.parametrize("row", TABLE["decode"], ids=ids(TABLE["decode"]))
def test_decode(row: dict[str, Any]) -> None:
    element = ELEMENTS[row["element"]]
    for code, text in row["rows"]:
        (value,) = decode(np.array([int(code, 16)], code_dtype(element)), element).tolist()
        assert same(value, text), (code, value)
        assert same_exact(element_value(int(code, 16), element), text), code


@pytest.mark.parametrize("row", TABLE["scale"], ids=ids(TABLE["scale"]))
def test_scale(row: dict[str, Any]) -> None:
    for code, text in row["rows"]:
        (value,) = decode_scale(np.array([int(code, 16)], np.uint8), Scale(row["kind"])).tolist()
        assert same(value, text), (code, value)
        assert same_exact(scale_value(int(code, 16), Scale(row["kind"])), text), code


@pytest.mark.parametrize("row", TABLE["quantize"], ids=ids(TABLE["quantize"]))
def test_quantize(row: dict[str, Any]) -> None:
    x = np.array([int(word, 16) for word in row["x"]], np.uint32).view(np.float32)
    fmt = get(row["format"])
    rules = {"scale_rule": row["rule"]} if "rule" in row else {}
    array = quantize(x, fmt, tensor_scale=row.get("tensor_scale"), **rules)
    assert [f"{code:x}".upper().zfill(len(row["codes"][0])) for code in array.codes.tolist()] == row["codes"]
    if fmt.is_scaled:
        assert [f"{code:02X}" for code in scales_of(array).tolist()] == [row["scale"]]


def operand(fields: tuple[str, list[str], list[str]]) -> MXArray:
    fmt = get(fields[0])
    words = [word.split("*") for word in fields[1]]
    codes = [int(code, 16) for code, *times in words for _ in range(int(times[0]) if times else 1)]
    scales = np.array([[int(scale, 16) for scale in fields[2]]], np.uint8) if fmt.is_scaled else None
    return MXArray.from_codes(np.array([codes], code_dtype(fmt.element)), scales, fmt)


@pytest.mark.parametrize("row", TABLE["matmul"], ids=ids(TABLE["matmul"]))
@pytest.mark.parametrize("model", [matmul, matmul_reference])
def test_matmul(row: dict[str, Any], model: Any) -> None:
    a, b = operand(row["a"]), operand(row["b"])
    depth = max(a.shape[1], b.shape[1])
    a, b = (MXArray.from_codes(np.pad(t.codes, [(0, 0), (0, depth - t.shape[1])]), t.scales, t.format) for t in (a, b))
    (result,) = bits(model(a, b, window=row.get("window", 40))).ravel().tolist()
    assert f"{result:08X}" == row["result"]


def test_every_row_names_its_clause() -> None:
    rows = [row for kind in TABLE.values() for row in kind]
    assert all(row["clause"].startswith(("MX ", "OFP8 ", "IEEE ", "numerics, ")) for row in rows)
    assert len({row["clause"] for row in rows}) == len(rows)
