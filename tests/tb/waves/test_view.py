"""Which signals are shown, where and how."""

import pytest

from tb.waves.decode import Elements, Enumeration, Float32, Number, ScaleCode
from tb.waves.design import enumerations
from tb.waves.trace import Trace
from tb.waves.view import Contents, Group, Row, groups_of, matching

from .small import PORTS

CONTENTS = Contents(formats={"streamed": "MXFP8_E4M3"}, rows=1)


@pytest.fixture(scope="module")
def groups(trace: Trace) -> dict[str, Group]:
    return {group.name: group for group in groups_of(trace, PORTS, CONTENTS)}


def row(group: Group, label: str) -> Row:
    (found,) = [row for row in group.rows if row.label == label]
    return found


def test_groups_in_order(groups: dict[str, Group]) -> None:
    assert list(groups) == ["stream streamed (→ in)", "small", "sequencer", "unit_0", "unit_2", "unit_10"]
    assert [group.is_open for group in groups.values()] == [True, False, True, True, False, False]


def test_stream(groups: dict[str, Group]) -> None:
    group = groups["stream streamed (→ in)"]
    assert [item.label for item in group.rows] == ["transfers", "valid", "ready", "codes[0]", "scales[0][0]"]
    codes, scale = row(group, "codes[0]"), row(group, "scales[0][0]")
    assert (codes.offset, codes.width, codes.valid) == (0, 16, "top.streamed__valid")
    assert isinstance(codes.decoder, Elements)
    assert codes.decoder.values(codes.bits(0x827F38C0)) == [-2.0, 1.0]
    assert (scale.offset, scale.width) == (16, 8)
    assert scale.decoder is not None
    assert scale.decoder.label(scale.bits(0x827F38C0)) == "2^0"


def test_rows_of_a_dense_beat(trace: Trace) -> None:
    contents = Contents(formats={"streamed": "MXFP4"}, rows=2)
    group = groups_of(trace, PORTS, contents)[0]
    labels = [item.label for item in group.rows[3:]]
    assert labels == ["codes[0] row 0", "codes[0] row 1", "scales[0][0]", "scales[1][0]"]
    assert [(item.offset, item.width) for item in group.rows[3:]] == [(0, 16), (0, 16), (16, 8), (24, 8)]
    for index, wanted in enumerate((6.0, 4.0)):
        decoder = row(group, f"codes[0] row {index}").decoder
        assert isinstance(decoder, Elements)
        assert decoder.values(0x42 | 0x7 << 2) == [wanted, 0.0]


@pytest.mark.parametrize(("name", "kind"), [("BF16", Number), ("MXFP4", ScaleCode)])
def test_scales_where_there_are_some(trace: Trace, name: str, kind: type) -> None:
    group = groups_of(trace, PORTS, Contents(formats={"streamed": name}))[0]
    assert isinstance(row(group, "scales[0][0]").decoder, kind)


def test_block(groups: dict[str, Group]) -> None:
    assert [item.label for item in groups["sequencer"].rows] == ["mode", "wide"]
    mode = row(groups["sequencer"], "mode")
    assert isinstance(mode.decoder, Enumeration)
    assert mode.decoder.label(2) == "BUSY"
    assert [item.label for item in groups["small"].rows] == ["count"]


def test_structs_and_floats(groups: dict[str, Group]) -> None:
    assert [item.label for item in groups["unit_0"].rows] == ["pair.high", "pair.low", "total"]
    assert isinstance(row(groups["unit_0"], "total").decoder, Float32)
    assert isinstance(row(groups["unit_2"], "total").decoder, Float32), "known by its name from unit_0"
    assert row(groups["unit_0"], "pair.high").decoder is None


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("count", {"top.count"}),
        ("unit_*.total", {"top.unit_0.total", "top.unit_2.total", "top.unit_10.total"}),
        ("UNIT_2", {"top.unit_2.total"}),
        ("mode_1", {"top.sequencer.mode_1"}),
        ("top.sequencer.w?de", {"top.sequencer.wide"}),
        ("deep", {"top.unit_0.deep.er.signal"}),
        ("scales", {"top.streamed__payload"}),
    ],
)
def test_pattern(trace: Trace, pattern: str, found: set[str]) -> None:
    kept = matching(trace, groups_of(trace, PORTS, CONTENTS), PORTS, pattern)
    assert {item.signal for group in kept for item in group.rows} == found
    assert all(group.is_open for group in kept)


def test_pattern_that_nothing_matches(trace: Trace) -> None:
    with pytest.raises(ValueError, match="Pattern must match a signal, not 'unti'"):
        matching(trace, groups_of(trace, PORTS, CONTENTS), PORTS, "unti")


VERILOG = """\
module a(mode);
  (* enum_base_type = "Mode" *)
  (* enum_value_00 = "IDLE" *)
  (* enum_value_10 = "BUSY" *)
  input [1:0] mode;
  wire [1:0] mode;
  (* enum_base_type = "Flag" *)
  (* enum_value_0 = "OFF" *)
  (* enum_value_1 = "ON" *)
  (* init = 1'h0 *)
  reg \\state.flag  = 1'h0;
  (* enum_base_type = "Flag" *)
  (* enum_value_1 = "ON" *)
  wire twice;
  (* generator = "Amaranth" *)
  wire plain;
endmodule
module b(twice);
  (* enum_base_type = "Mode" *)
  (* enum_value_00 = "IDLE" *)
  (* enum_value_10 = "BUSY" *)
  wire [1:0] twice;
endmodule
"""


def test_enumerations_of_verilog() -> None:
    assert enumerations(VERILOG) == {
        "mode": {"name": "Mode", "width": 2, "values": {"IDLE": 0, "BUSY": 2}},
        "state.flag": {"name": "Flag", "width": 1, "values": {"OFF": 0, "ON": 1}},
    }
