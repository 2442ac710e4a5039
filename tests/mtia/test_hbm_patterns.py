"""Patterns of requests: each is what its name says, and the same every time."""

import numpy as np
import pytest

from golden.hbm_map import split
from mtia import hbm
from mtia.hbm_map import AddressMap
from mtia.hbm_patterns import PATTERNS, TRIAD_ATOMS, Pattern
from mtia.hbm_requests import Accesses, RequestOp

GB = 1 << 30
R, W, RED = RequestOp.R, RequestOp.W, RequestOp.RED

#: a word for each pattern
WORDS = ("stream", "stream-write", "triad", "random", "stride:4096", "gather:128", "scatter-reduce", "tree:96")


def of(word: str, count: int, capacity: int = GB, seed: int = 1) -> Accesses:
    return Pattern.parse(word).accesses(count, capacity=capacity, seed=seed)


def test_words_are_the_patterns() -> None:
    assert [word.partition(":")[0] for word in WORDS] == [name.partition(":")[0] for name in PATTERNS]
    assert [str(Pattern.parse(word)) for word in WORDS] == list(WORDS)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_every_pattern(word: str, count: int, seed: int) -> None:
    found = of(word, count, seed=seed)
    assert len(found) == len(found.op) == len(found.address) == count
    assert found.cycle is None
    assert not (found.address % 32).any()
    assert found.address.min() >= 0
    assert found.address.max() < GB
    again = of(word, count, seed=seed)
    np.testing.assert_array_equal(found.address, again.address)


@pytest.mark.parametrize("word", WORDS)
def test_small_channel(word: str) -> None:
    capacity = 9216 * 32
    assert of(word, 1000, capacity).address.max() < capacity


@pytest.mark.parametrize("word, op", [("stream", R), ("stream-write", W)])
def test_stream(word: str, op: RequestOp) -> None:
    found = of(word, 5, capacity=128)
    assert found.op.tolist() == [op] * 5
    assert found.address.tolist() == [0, 32, 64, 96, 0]


def test_triad() -> None:
    found = of("triad", 7)
    apart = TRIAD_ATOMS * 32
    assert found.op.tolist() == [R, R, W, R, R, W, R]
    assert found.address.tolist() == [0, apart, 2 * apart, 32, apart + 32, 2 * apart + 32, 64]


def test_arrays_of_triad_do_not_meet() -> None:
    found = of("triad", 3 * 5000, capacity=3 * 8192 * 32)
    arrays = found.atom.reshape(-1, 3)
    assert all(arrays[:, one].max() < arrays[:, one + 1].min() for one in range(2))


def test_stride_goes_on_an_atom_further() -> None:
    assert of("stride:512", 5, capacity=1024).address.tolist() == [0, 512, 32, 544, 64]


def test_random_is_spread(seed: int) -> None:
    for word, op in (("random", R), ("scatter-reduce", RED)):
        found = of(word, 4000, seed=seed)
        assert (found.op == op).all()
        counts = np.bincount(found.address * 8 // GB, minlength=8)
        assert counts.min() > 350
        assert not np.array_equal(found.address, of(word, 4000, seed=seed + 1).address)


@pytest.mark.parametrize("size", [32, 64, 256, 96])
def test_gather_reads_whole_pieces(size: int) -> None:
    found = of(f"gather:{size}", size // 32 * 50)
    pieces = found.address.reshape(50, -1)
    assert (pieces[:, 0] % size == 0).all()
    np.testing.assert_array_equal(pieces - pieces[:, :1], np.tile(np.arange(0, size, 32), (50, 1)))
    assert len(np.unique(pieces[:, 0])) > 45


@pytest.mark.parametrize("count", [1, 3, 4, 72, 128])
@pytest.mark.parametrize("name", hbm.names())
def test_tree_writes_its_slots_first(name: str, count: int) -> None:
    """Of both pseudo-channels: the atoms behind the destination are those written since the last sums."""
    timing = hbm.get(name)
    layout = AddressMap.of(timing.organization, level="channel")
    found = of(f"tree:{32 * count}", 3000, capacity=2 * timing.organization.pseudo_channel_bytes)
    pc, inner = split(found.atom, layout)
    sums = np.flatnonzero(found.op == RequestOp.TREE)
    assert set((found.op[found.op != RequestOp.TREE]).tolist()) == {W}
    assert found.slots is not None
    assert found.slot_count == count * len(sums)
    assert set(pc[sums].tolist()) == {0, 1}
    np.testing.assert_array_equal(found.slots[sums], count)
    for at in sums.tolist():
        written = inner[:at][(pc[:at] == pc[at]) & (found.op[:at] == W)]
        assert set(range(inner[at], inner[at] + count + 1)) <= set(written[-(count + 4) :].tolist())


def test_tree_wrong() -> None:
    with pytest.raises(ValueError, match=r"Pattern tree:N must have N of at most 4096, not 'tree:4128'"):
        Pattern.parse("tree:4128")
    with pytest.raises(ValueError, match="Pattern tree:N must have 1280 bytes for each sum, not 1024"):
        of("tree:512", 1, capacity=1024)


@pytest.mark.parametrize(
    "word", ["stride", "stride:", "stride:0", "gather:33", "gather:-32", "stride:x", "gather:1.5", "tree:8"]
)
def test_size_wrong(word: str) -> None:
    name = word.partition(":")[0]
    with pytest.raises(ValueError, match=f"Pattern {name}:N must have a multiple of 32 bytes as N, not '{word}'"):
        Pattern.parse(word)


def test_name_wrong() -> None:
    with pytest.raises(ValueError, match=r"Pattern must be one of stream, .*did you mean stream"):
        Pattern.parse("steam")
    with pytest.raises(ValueError, match="Pattern must be one of"):
        Pattern.parse("stream:32")


def test_count_wrong() -> None:
    with pytest.raises(ValueError, match="Requests must be at least 1, not 0"):
        of("stream", 0)
    with pytest.raises(ValueError, match="Requests of triad must have arrays that fit 4096 atoms, not 10000"):
        of("triad", 10000, capacity=4096 * 32)


def test_piece_larger_than_the_channel_wrong() -> None:
    with pytest.raises(ValueError, match="Pattern gather:N must have N of at most the channel's 1024, not 2048"):
        of("gather:2048", 1, capacity=1024)
