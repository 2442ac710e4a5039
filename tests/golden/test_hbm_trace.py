"""Traces of HBM commands as files: what is refused, with line and reason, and that rows say the same."""

from pathlib import Path

import pytest

from golden.hbm import check
from mtia import hbm
from tests.golden.hbm_commands import A, row

HBM3 = hbm.get("HBM3-6.4")
HEADER = "ck,channel,pc,command,sid,bank_group,bank,row,column\n"

BAD_LINES = [
    ("1,0,0,PRE,0,0,0,", "Line 3: must have 9 fields, not 8"),
    ("1,0,0,PRE,0,0,0,,,", "Line 3: must have 9 fields, not 10"),
    ("", "Line 3: must have 9 fields, not 1"),
    ("1,0,0,PR,0,0,0,,", "Line 3: command must be one of ACT, .*, not 'PR'; did you mean PRE"),
    ("1,0,0,pre,0,0,0,,", "Line 3: command must be one of ACT, .*, not 'pre'"),
    ("1,0,0,,0,0,0,,", "Line 3: command must be one of ACT, .*, not ''"),
    ("1,0,0,PREFERABLY,0,0,0,,", "Line 3: command must be one of ACT, .*, not 'PREFERABLY'"),
    (",0,0,PRE,0,0,0,,", "Line 3: ck of PRE must be a number, not ''"),
    ("1,0,0,ACT,0,0,0,,", "Line 3: row of ACT must be a number, not ''"),
    ("1,0,0,RD,0,0,0,,", "Line 3: column of RD must be a number, not ''"),
    ("1,0,0,PRE,,0,0,,", "Line 3: sid of PRE must be a number, not ''"),
    ("1,0,0,PREA,0,,,,", "Line 3: sid of PREA must be empty, not '0'"),
    ("1,0,0,PRE,0,0,0,1,", "Line 3: row of PRE must be empty, not '1'"),
    ("1,0,0,ACT,0,0,0,1,2", "Line 3: column of ACT must be empty, not '2'"),
    ("-1,0,0,PRE,0,0,0,,", "Line 3: ck must be a decimal number, not '-1'"),
    ("1.5,0,0,PRE,0,0,0,,", "Line 3: ck must be a decimal number, not '1.5'"),
    ("1,0,0,PRE,0, 0,0,,", "Line 3: bank_group must be a decimal number, not ' 0'"),
    ("1,0,0,PRE,0,0,0x1,,", "Line 3: bank must be a decimal number, not '0x1'"),
    ("1" * 19 + ",0,0,PRE,0,0,0,,", "Line 3: ck must be a decimal number, not '1{19}'"),
]


@pytest.mark.parametrize("line,message", BAD_LINES)
def test_bad_line(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(f"{HEADER}0,0,0,PRE,0,0,0,,\n{line}\n2,0,0,PRE,0,0,0,,\n")
    with pytest.raises(ValueError, match=f"^{message}"):
        check(path, HBM3)


@pytest.mark.parametrize("text", ["", "\n", "ck,channel\n", HEADER.upper(), HEADER.strip() + ",line\n"])
def test_bad_header(text: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^Line 1 must be 'ck,channel,pc,"):
        check(str(path), HBM3)


def test_bad_rows() -> None:
    with pytest.raises(ValueError, match=r"^Row 1: ck must be a decimal number, not '-5'"):
        check([row(0, "PRE"), row(-5, "PRE")], HBM3)
    with pytest.raises(ValueError, match=r"^Row 0: must have 9 fields, not 3"):
        check([(1, 0, "PRE")], HBM3)


@pytest.mark.parametrize("newline,last", [("\n", "\n"), ("\r\n", "\r\n"), ("\n", "")])
def test_file_and_rows_say_the_same(newline: str, last: str, tmp_path: Path) -> None:
    rows = [row(100, "ACT"), row(120, "RD"), row(130, "PREA"), row(140, "REFAB"), row(150, "ACT", A, pc=1)]
    lines = [",".join("" if item is None else str(item) for item in command) for command in rows]
    path = tmp_path / "trace.csv"
    path.write_bytes((newline.join([HEADER.strip(), *lines]) + last).encode())
    of_file, of_rows = check(path, HBM3, refresh="off"), check(rows, HBM3, refresh="off")
    assert of_file.violations == [item._replace(line=item.line + 2) for item in of_rows.violations]
    broken = ["RCDRD", "RAS to PREA", "RP from PREA to refresh", "RC to REFAB"]
    assert [item.rule for item in of_file.violations] == broken
    assert (of_file.closest, of_file.commands) == (of_rows.closest, of_rows.commands)
