"""Files of requests: what is read, and every way to write one wrong."""

import gzip
import pathlib

import pytest

from mtia.hbm_requests import RequestOp, read_requests

GB = 1 << 30
FORM = "must be 'R ADDRESS', 'W ADDRESS', 'RED ADDRESS' or 'TREE ADDRESS SLOTS' with at most a cycle after it"


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "requests"


def test_lines(file: pathlib.Path) -> None:
    file.write_text("# a comment\n\nR 0x40\n  w 64 # another\nRED 0x5F\r\n")
    found = read_requests(file, capacity=GB)
    assert found.op.tolist() == [RequestOp.R, RequestOp.W, RequestOp.RED]
    assert found.address.tolist() == [0x40, 64, 0x40]
    assert found.atom.tolist() == [2, 2, 2]
    assert found.cycle is None
    assert (found.slots, found.slot_count) == (None, 0)
    assert (len(found), found.count(RequestOp.W)) == (3, 1)


def test_trees(file: pathlib.Path) -> None:
    file.write_text("TREE 0x60 72\nR 0\ntree 0x4F 0x10 7\nTREE 0 1")
    found = read_requests(file, capacity=GB)
    assert found.op.tolist() == [RequestOp.TREE, RequestOp.R, RequestOp.TREE, RequestOp.TREE]
    assert found.address.tolist() == [0x60, 0, 0x40, 0]
    assert found.slots is not None
    assert found.slots.tolist() == [72, 0, 16, 1]
    assert found.cycle is not None
    assert found.cycle.tolist() == [0, 0, 7, 7]
    assert (found.slot_count, found.count(RequestOp.TREE)) == (89, 3)


def test_cycles_carry_on(file: pathlib.Path) -> None:
    file.write_text("R 0\nR 32 0x10\nR 64\nR 96 16\nR 0 17")
    cycles = read_requests(file, capacity=GB).cycle
    assert cycles is not None
    assert cycles.tolist() == [0, 16, 16, 16, 17]


def test_gzip(file: pathlib.Path) -> None:
    file.write_bytes(gzip.compress(b"R 0x20\n" * 1000))
    assert len(read_requests(file, capacity=GB)) == 1000


@pytest.mark.parametrize(
    "line, reason",
    [
        ("X 0x40", f"{FORM}, not 'X 0x40'"),
        ("R", f"{FORM}, not 'R'"),
        ("R 1 2 3", f"{FORM}, not 'R 1 2 3'"),
        ("TREE 0x40", f"{FORM}, not 'TREE 0x40'"),
        ("TREE 1 2 3 4", f"{FORM}, not 'TREE 1 2 3 4'"),
        ("TREE 0 many", "must have a number such as 0x40 as its slots, not 'many'"),
        ("TREE 0 0", "must have 1 to 128 slots, not 0"),
        ("TREE 0 0x81 9", "must have 1 to 128 slots, not 0x81"),
        ("TREE 0 8 4", "must have a cycle of at least 5, that of the line before, not 4"),
        ("TREE 0x40000000 8", "must have an address below the channel's 0x40000000, not 0x40000000"),
        ("R 4F", "must have a number such as 0x40 as its address, not '4F'"),
        ("R -32", "must have a number such as 0x40 as its address, not '-32'"),
        ("R 0x40 soon", "must have a number such as 0x40 as its cycle, not 'soon'"),
        ("R 0x40000000", "must have an address below the channel's 0x40000000, not 0x40000000"),
        ("R 0 4", "must have a cycle of at least 5, that of the line before, not 4"),
        (f"R 0 {1 << 41}", f"must have a cycle of at least 5, that of the line before, not {1 << 41}"),
    ],
)
def test_line_wrong(file: pathlib.Path, line: str, reason: str) -> None:
    file.write_text(f"R 0 5\n\n{line}\n")
    with pytest.raises(ValueError, match="line 3") as caught:
        read_requests(file, capacity=GB)
    assert str(caught.value) == f"{file}: line 3 {reason}"


@pytest.mark.parametrize("content", [b"", b"# nothing\n"])
def test_no_requests_wrong(file: pathlib.Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match="file must have requests, not none"):
        read_requests(file, capacity=GB)


def test_damaged_gzip_wrong(file: pathlib.Path) -> None:
    whole = gzip.compress(b"R 0x20\n" * 1000)
    for content in (whole[:-9], whole[:12] + b"\xff\xff" + whole[14:]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="file must be sound gzip, not: "):
            read_requests(file, capacity=GB)


def test_binary_wrong(file: pathlib.Path) -> None:
    file.write_bytes(b"\x80\x81\xff\n")
    with pytest.raises(ValueError, match="line 1 must be "):
        read_requests(file, capacity=GB)


def test_missing_file_wrong(file: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_requests(file, capacity=GB)
