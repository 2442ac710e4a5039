"""The golden memory of a channel: contents before the first write, writes, reductions, lost atoms, replay."""

from collections.abc import Callable

import numpy as np
import pytest

from golden import near_memory
from golden.hbm_map import decode, encode
from golden.hbm_memory import FULL_MASK, Memory, Op, Request, Response, Status, default_words
from mtia import hbm
from mtia.hbm_map import AddressMap
from mtia.near_memory import TREE_SLOTS, ReduceFormat, ReduceKind, tree_operand

HBM3E = hbm.get("HBM3E-9.0")
MASK32 = 0xFFFFFFFF


def mixed(x: int) -> int:
    """The formula of the docstring on Python's integers."""
    x &= MASK32
    x = (x ^ x >> 16) * 0x85EBCA6B & MASK32
    x = (x ^ x >> 13) * 0xC2B2AE35 & MASK32
    return x ^ x >> 16


def content(number: int, channel: int) -> bytes:
    words = [mixed(8 * number + index + (channel + 1) * 0x9E3779B9) for index in range(8)]
    return b"".join(word.to_bytes(4, "little") for word in words)


def place_number(place: dict[str, int]) -> int:
    """Rows of 32 atoms, 24,576 rows, 4 banks, 4 bank groups, 3 SIDs, 2 pseudo-channels."""
    number = place["pc"] * 3 + place["sid"]
    number = (number * 4 + place["bank_group"]) * 4 + place["bank"]
    return (number * 24_576 + place["row"]) * 32 + place["column"]


def test_first_word() -> None:
    assert int(default_words(0)[0]) == 0x92CA2F0E
    assert default_words(np.zeros((2, 3), np.int64)).shape == (2, 3, 8)


def test_no_two_words_of_a_channel_are_equal() -> None:
    """Every step of the formula can be undone, here by its inverse."""

    def undone(x: int) -> int:
        x ^= x >> 16
        x = x * pow(0xC2B2AE35, -1, 1 << 32) & MASK32
        x ^= x >> 13 ^ x >> 26
        x = x * pow(0x85EBCA6B, -1, 1 << 32) & MASK32
        return x ^ x >> 16

    for value in (0, 1, 2, 0x80000000, MASK32, 123456789):
        assert undone(mixed(value)) == value
    assert 8 * HBM3E.organization.pseudo_channel_bytes * 2 // 32 < 1 << 32
    assert len(np.unique(default_words(np.arange(10_000)))) == 80_000


@pytest.mark.parametrize("channel", [0, 5])
def test_contents_of_a_channel_follow_the_place(channel: int, seed: int) -> None:
    memory = Memory(HBM3E, channel=channel)
    addresses = np.random.default_rng(seed).integers(0, memory.atoms, 50)
    addresses[:2] = 0, memory.atoms - 1
    data = memory.read(addresses)
    places = decode(addresses, AddressMap.of(HBM3E.organization))
    for index, atom in enumerate(data):
        number = place_number({name: int(values[index]) for name, values in places.items()})
        assert atom.tobytes() == content(number, channel)


def test_contents_at_the_levels_agree(seed: int) -> None:
    """The same atom by its address in the stack, the channel and the pseudo-channel."""
    organization = HBM3E.organization
    stack, channel = AddressMap.of(organization, level="stack"), AddressMap.of(organization)
    inner = AddressMap.of(organization, level="pseudo_channel")
    for number in np.random.default_rng(seed).integers(0, stack.atoms, 20).tolist():
        place = {name: int(value) for name, value in decode(number, stack).items()}
        expected = content(place_number(place), place["channel"])
        assert Memory(stack).read(number).tobytes() == expected
        pc = Memory(inner, channel=place["channel"], pc=place["pc"])
        assert pc.read(_address(place, inner)).tobytes() == expected
        in_channel = _address(place, channel)
        assert Memory(organization, channel=place["channel"]).read(in_channel).tobytes() == expected


def _address(place: dict[str, int], layout: AddressMap) -> int:
    return int(encode({name: place[name] for name in layout.widths}, layout))


def test_write_and_read() -> None:
    memory = Memory(HBM3E)
    before = memory.read(7)
    atoms = np.arange(64, dtype=np.uint8).reshape(2, 32)
    memory.write([3, 5], atoms)
    assert np.array_equal(memory.read([5, 3]), atoms[::-1])
    assert np.array_equal(memory.read([[3], [5]]), atoms[:, None])
    assert np.array_equal(memory.read(7), before)
    mask = np.arange(32) % 3 == 0
    memory.write(7, atoms[1], mask)
    assert np.array_equal(memory.read(7), np.where(mask, atoms[1], before))


def test_repeated_addresses_are_in_order() -> None:
    memory = Memory(HBM3E)
    atoms = np.random.default_rng(0).integers(0, 256, (5, 32), np.uint8)
    low = np.arange(32) < 16
    memory.write([9, 8, 9, 9], atoms[:4], np.stack([~low | low, ~low | low, low, low]))
    assert np.array_equal(memory.read(9), np.where(low, atoms[3], atoms[0]))
    one = np.full((3, 8), 1, np.float32).view(np.uint8)
    memory.write(9, np.zeros(32, np.uint8))
    memory.reduce([9, 9, 9], ReduceKind.SUM, ReduceFormat.FP32, one)
    assert np.array_equal(memory.read(9).view(np.float32), np.full(8, 3, np.float32))


@pytest.mark.parametrize("kind", list(ReduceKind))
@pytest.mark.parametrize("format", [ReduceFormat.FP32, ReduceFormat.BF16, ReduceFormat.FP16_MXFP8_E4M3])
def test_reduce_is_near_memory(kind: ReduceKind, format: ReduceFormat, seed: int) -> None:
    rng = np.random.default_rng(seed)
    memory, operands = Memory(HBM3E), rng.integers(0, 256, (4, 32), np.uint8)
    mask = rng.random((4, 32)) < 0.8
    addresses = [11, 12, 13, 14]
    expected = near_memory.apply(kind, format, memory.read(addresses), operands, mask)
    memory.reduce(addresses, kind, format, operands, mask)
    assert np.array_equal(memory.read(addresses), expected)


@pytest.mark.parametrize("lost", [Status.POISON, Status.UNCORRECTABLE])
def test_lost_atoms(lost: Status) -> None:
    """Whole again by a full write; poison by anything that would have had to read them."""
    memory, atom = Memory(HBM3E), np.zeros((1, 32), np.uint8)
    half = (np.arange(32) < 16)[None]
    memory.mark([1, 2, 3, 4], lost)
    memory.write([1], atom)
    memory.write([2], atom, half)
    memory.reduce([3], ReduceKind.COPY, ReduceFormat.FP32, atom)
    assert memory.status([0, 1, 2, 3, 4]).tolist() == [Status.OK, Status.OK, Status.POISON, Status.POISON, lost]
    answers = memory.replay([Request(Op.RD, address, tag=address) for address in range(5)])
    assert [(item.tag, item.status) for item in answers] == list(enumerate(memory.status(range(5)).tolist()))
    assert [item.data is None for item in answers] == [False, False, True, True, True]
    memory.mark(4, Status.OK)
    assert memory.status(4) == Status.OK


def test_replay_is_one_after_the_other(seed: int) -> None:
    """Against single calls, on few addresses: every request meets what those before it left."""
    rng = np.random.default_rng(seed)
    requests = []
    for tag in range(600):
        op = Op(int(rng.integers(0, 3)))
        mask = FULL_MASK if rng.random() < 0.5 else int(rng.integers(0, 1 << 32))
        kind = ReduceKind(int(rng.integers(0, 4)))
        format = [ReduceFormat.FP32, ReduceFormat.BF16, ReduceFormat.FP16_MXINT8][int(rng.integers(0, 3))]
        requests.append(Request(op, int(rng.integers(0, 6)), tag, rng.bytes(32), mask, kind, format))
    memory, single = Memory(HBM3E), Memory(HBM3E)
    answers = memory.replay(requests)
    for request, answer in zip(requests, answers, strict=True):
        data, address = np.frombuffer(request.data, np.uint8), request.address
        enabled = np.array([request.mask >> bit & 1 for bit in range(32)], np.bool_)
        if request.op == Op.RD:
            assert answer == Response(request.tag, Status.OK, single.read(address).tobytes())
            continue
        assert answer == Response(request.tag, Status.OK, None)
        if request.op == Op.WR:
            single.write(address, data, enabled)
        else:
            single.reduce(address, request.kind, request.format, data, enabled)
    assert np.array_equal(memory.read(range(6)), single.read(range(6)))


@pytest.mark.parametrize("slots", [1, 2, 7, 72, TREE_SLOTS])
def test_tree_is_near_memory(slots: int, seed: int) -> None:
    """As a call and as a request; the destination may be a slot, or none."""
    rng = np.random.default_rng(seed)
    layout = AddressMap.of(HBM3E.organization, level="pseudo_channel")
    memory, replayed = Memory(layout), Memory(layout)
    kind, format = ReduceKind(int(rng.integers(1, 4))), ReduceFormat.BF16
    for destination in (3, 100, 100 + 5 * (slots - 1)):
        places = 100 + 5 * np.arange(slots)
        expected = near_memory.tree(kind, format, memory.read(places)[:, None])[0]
        memory.tree(destination, kind, format, first=100, stride=5, slots=slots)
        data = tree_operand(first=100, stride=5, slots=slots)
        answers = replayed.replay(
            [Request(Op.TREE, destination, 9, data, 0, kind, format), Request(Op.RD, destination)]
        )
        assert answers == [Response(9, Status.OK, None), Response(0, Status.OK, expected.tobytes())]
        assert np.array_equal(memory.read(destination), expected)


@pytest.mark.parametrize("level", ["channel", "stack"])
def test_slots_of_a_tree_are_in_the_pseudo_channel_of_its_destination(level: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layout = AddressMap.of(HBM3E.organization, level=level)
    memory = Memory(layout)
    inner = AddressMap.of(HBM3E.organization, level="pseudo_channel")
    for destination in rng.integers(0, layout.atoms, 5).tolist():
        place = {name: int(value) for name, value in decode(destination, layout).items()}
        alone = Memory(inner, channel=place.get("channel", 0), pc=place["pc"])
        there = int(encode({name: place[name] for name in inner.widths}, inner))
        first, stride = int(rng.integers(0, 10_000)), int(rng.integers(0, 1000))
        for each, address in ((memory, destination), (alone, there)):
            data = tree_operand(first=first, stride=stride, slots=11)
            each.replay([Request(Op.TREE, address, data=data, kind=ReduceKind.MIN)])
        assert np.array_equal(memory.read(destination), alone.read(there))
    last = tree_operand(first=inner.atoms, stride=0, slots=1)
    answers = memory.replay([Request(Op.TREE, 0, data=last, kind=ReduceKind.MIN)])
    assert answers == [Response(0, Status.ADDRESS, None)]


def test_tree_of_lost_slots() -> None:
    memory = Memory(AddressMap.of(HBM3E.organization, level="pseudo_channel"))
    memory.mark([12, 50, 51], Status.UNCORRECTABLE)
    memory.tree(50, ReduceKind.SUM, ReduceFormat.FP32, first=10, stride=1, slots=3)
    memory.tree(51, ReduceKind.SUM, ReduceFormat.FP32, first=13, stride=1, slots=3)
    assert memory.status([50, 51]).tolist() == [Status.POISON, Status.OK]


def test_replay_of_trees_that_are_not_there() -> None:
    memory = Memory(AddressMap.of(HBM3E.organization, level="pseudo_channel"))
    rows = [(0, 0, 1, 0), (0, 0, 1, 129), (memory.atoms, 0, 1, 2), (0, memory.atoms - 1, 1, 2), (0, 0, 1 << 60, 2)]
    requests = [
        Request(Op.TREE, to, 0, tree_operand(first=first, stride=stride, slots=slots), kind=ReduceKind.MAX)
        for to, first, stride, slots in rows
    ]
    before = memory.read(0)
    assert {answer.status for answer in memory.replay(requests)} == {Status.ADDRESS}
    assert np.array_equal(memory.read(0), before)


def test_replay_beyond_the_capacity() -> None:
    memory = Memory(AddressMap.of(HBM3E.organization, level="pseudo_channel"))
    last = memory.atoms - 1
    assert memory.atoms == 48 * 24_576 * 32
    requests = [Request(Op.WR, last + 1, 1), Request(Op.RD, last, 2), Request(Op.RED, last + 1, 3)]
    answers = memory.replay(requests)
    assert [item.status for item in answers] == [Status.ADDRESS, Status.OK, Status.ADDRESS]
    assert [item.tag for item in answers] == [1, 2, 3]
    assert memory.replay(requests[:1]) == [Response(1, Status.ADDRESS, None)]
    assert memory.replay([]) == []


ATOM = np.zeros(32, np.uint8)
WRONG: list[tuple[Callable[[Memory], object], type[Exception], str]] = [
    (lambda memory: memory.read(memory.atoms), ValueError, "address must be below 75497472, not"),
    (lambda memory: memory.write(-1, ATOM), ValueError, "address must be below 75497472, not -1"),
    (lambda memory: memory.write(0, ATOM.astype(np.int64)), TypeError, "Data must be of dtype uint8, not 'int64'"),
    (lambda memory: memory.write([0], ATOM), ValueError, r"Data must be of shape \(1, 32\), not \(32,\)"),
    (lambda memory: memory.write(0, ATOM, ATOM), TypeError, "Mask must be of dtype bool, not 'uint8'"),
    (lambda memory: memory.write(0, ATOM, ATOM[:4] > 0), ValueError, r"Mask must be of shape \(32,\), not \(4,\)"),
    (lambda memory: memory.mark(0, Status.CORRECTED), ValueError, "status must be OK, POISON or UNCORRECTABLE, not"),
    (lambda memory: Memory("HBM3"), TypeError, "layout must be an address map, .* not 'HBM3'"),  # type: ignore[arg-type]
    (lambda memory: Memory(HBM3E, channel=16), ValueError, "channel must be below 16, not 16"),
    (lambda memory: Memory(HBM3E, pc=2), ValueError, "pc must be below 2, not 2"),
    (lambda memory: memory.replay([Request(4, 0)]), ValueError, "op of request 0 must be RD, WR, RED or TREE, not 4"),  # type: ignore[arg-type]
    (lambda memory: memory.replay([Request(Op.RD, -1)]), ValueError, "address of request 0 must be at least 0"),
    (lambda memory: memory.replay([Request(Op.WR, 0, data=b"")]), ValueError, "data of request 0 must be 32 bytes"),
    (lambda memory: memory.replay([Request(Op.WR, 0, mask=1 << 32)]), ValueError, "mask of request 0 must be of 32"),
    (
        lambda memory: memory.replay([Request(Op.TREE, 0)]),
        ValueError,
        "kind of request 0 must be SUM, MAX or MIN for",
    ),
    (
        lambda memory: memory.tree(0, ReduceKind.SUM, ReduceFormat.FP32, first=0, stride=0, slots=129),
        ValueError,
        "Slots must be in 1 to 128, not 129",
    ),
    (lambda memory: memory.replay([Request(Op.RED, 0, format=3)]), ValueError, "kind and format of request 0"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("call,error,message", WRONG, ids=[row[2] for row in WRONG])
def test_wrong(call: Callable[[Memory], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(Memory(HBM3E))
