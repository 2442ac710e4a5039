"""Ordered reductions through the channel's port: the bits of the golden tree, and the order with all other requests."""

import numpy as np
import pytest

from golden import near_memory
from golden.hbm_memory import Op, Status
from mtia.near_memory import TREE_SLOTS, ReduceFormat, ReduceKind, tree_operand
from tb.hbm.runner import Requests

from .channels import TINY, Bench, full_design, middle_design, mixture, operands, tiny_design

pytestmark = pytest.mark.sim

KINDS = [ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN]
FORMATS = list(ReduceFormat)


@pytest.fixture
def bench():
    return Bench(middle_design())


@pytest.fixture
def tiny():
    return Bench(tiny_design(), timing=TINY)


def operand(first, stride, slots):
    """The data of a TREE: uint32 (8,)."""
    return np.frombuffer(tree_operand(first=int(first), stride=int(stride), slots=int(slots)), "<u4")


def trees(destinations, firsts, stride, slots, *, kind=ReduceKind.SUM, format=ReduceFormat.FP32):
    """A TREE for each destination."""
    data = np.stack([operand(first, stride, slots) for first in firsts])
    return Requests(op=Op.TREE, address=destinations, data=data, kind=kind, format=format)


def stored(bench, address, pc=0):
    """Atoms uint8 (n, 32) in the device."""
    words, _ = bench.device.read(bench.key(address, pc))
    return np.ascontiguousarray(words, "<u4").view(np.uint8)


def with_trees(random, requests, atoms, *, share, most):
    """The same requests, some of them made to TREEs of slots among the first `atoms` addresses."""
    fields = {name: values.copy() for name, values in requests.fields.items()}
    for index in np.flatnonzero(random.random(len(requests)) < share):
        slots = int(random.integers(1, most + 1))
        stride = int(random.integers(0, max(1, atoms // slots)))
        first = int(random.integers(0, atoms - stride * (slots - 1)))
        fields["op"][index] = Op.TREE
        fields["kind"][index] = random.choice(KINDS)
        fields["data"][index] = operand(first, stride, slots)
    return Requests(**fields)


@pytest.mark.parametrize("stride", [1, 40, 12_345])
@pytest.mark.parametrize("slots", [1, 2, 3, 8, 23, 72, TREE_SLOTS])
def test_tree_of_slots(bench, slots, stride, seed):
    """Destinations in a row, of slots that lie anywhere: the golden tree's bits, by the port and by back door."""
    random = np.random.default_rng(seed)
    count = 12
    firsts = 1000 + np.arange(count) * (slots if stride == 1 else 1)
    destination = np.arange(count)
    kind, format = random.choice(KINDS), random.choice(FORMATS)
    places = (firsts[:, None] + stride * np.arange(slots)).ravel()
    writes = Requests(op=Op.WR, address=places, data=operands(random, len(places)))
    reads = Requests(op=Op.RD, address=destination)
    bench.run([writes] * 2)
    bench.run([trees(destination, firsts, stride, slots, kind=kind, format=format)] * 2)
    bench.run([reads] * 2)
    bench.settle()
    for pc in range(2):
        slot_atoms = stored(bench, places, pc).reshape(count, slots, 32).transpose(1, 0, 2)
        want = near_memory.tree(kind, format, slot_atoms)
        np.testing.assert_array_equal(stored(bench, destination, pc), want)
        bench.compare_stored(destination, pc)


@pytest.mark.parametrize("format", [ReduceFormat.FP32, ReduceFormat.BF16, ReduceFormat.FP16_MXFP8_E4M3])
def test_any_order_of_arrival(bench, format, seed):
    """The slots of 72 ranks are written in 100 orders, the TREE right behind the last: the same bits every time."""
    random = np.random.default_rng(seed)
    ranks, first, destination = 72, 5000, 17
    data = random.normal(0, 10, (ranks, 8)).astype("<f4").view("<u4")
    if format is not ReduceFormat.FP32:
        data = operands(random, ranks)
    want = near_memory.tree_sum(np.ascontiguousarray(data, "<u4").view(np.uint8)[:, None], format)
    clear = Requests(op=Op.WR, address=np.r_[first + np.arange(ranks), destination])
    for _ in range(100):
        order = random.permutation(ranks)
        writes = Requests(op=Op.WR, address=first + order, data=data[order])
        reduce = trees([destination], [first], 1, ranks, format=format)
        names = [name for name in writes.fields if name != "cycle"]
        both = {name: np.concatenate([writes.fields[name], reduce.fields[name]]) for name in names}
        bench.hbm.run([clear, None])
        port = bench.hbm.run([Requests(**both), None]).ports[0]
        assert (port.status == Status.OK).all()
        found = bench.hbm.run([Requests(op=Op.RD, address=[destination]), None]).ports[0].data
        np.testing.assert_array_equal(np.ascontiguousarray(found, "<u4").view(np.uint8), want)


@pytest.mark.parametrize("atoms, most", [(4, 3), (12, 6), (60, 20), (400, 128)])
@pytest.mark.parametrize("refresh", ["per-bank", "all-bank"])
def test_interleavings(atoms, most, refresh, seed, tmp_path):
    """Reads, writes, reductions and TREEs on the same few atoms, destinations among the slots: order per address."""
    bench, random = Bench(middle_design(), refresh=refresh), np.random.default_rng(seed)
    bench.device.trace(tmp_path / "commands.csv")
    ports = [
        with_trees(random, mixture(random, random.integers(0, atoms, 512)), atoms, share=0.2, most=most)
        for _ in range(2)
    ]
    bench.run(ports)
    bench.settle()
    for pc in range(2):
        bench.compare_stored(np.arange(atoms), pc)
    assert bench.traced(tmp_path / "commands.csv").violations == []


@pytest.mark.parametrize("pauses", [{}, {"response_0": 0.9, "response_1": 0.5}, {"request_0": 0.5, "response_1": 0.97}])
def test_small_buffers(tiny, pauses, seed):
    """4 lines and a ring of 11 slots: TREEs longer than the ring, more of them than lines, nothing stops for ever."""
    random = np.random.default_rng(seed)
    ports = [with_trees(random, mixture(random, random.integers(0, 50, 400)), 50, share=0.4, most=40) for _ in range(2)]
    tiny.run(ports, pauses=pauses, seed=seed)
    tiny.settle()
    for pc in range(2):
        tiny.compare_stored(np.arange(50), pc)


def test_address_errors(tiny):
    """A TREE of nothing, of too many slots, or of an address past the end: ADDRESS, and nothing changes."""
    atoms, top = tiny.map.atoms, 1 << 64
    wrong = [
        (0, 10, 1, 0),
        (0, 10, 0, TREE_SLOTS + 1),
        (0, 10, 0, 0xFFFF),
        (atoms, 10, 1, 2),
        (0, atoms, 1, 1),
        (0, atoms - 1, 1, 2),
        (0, 0, atoms, 2),
        (0, 5, (atoms - 5) // 126, 128),
        (0, top - 1, 1, 2),
        (0, 0, top - 1, 2),
        (0, top // 2, 0, 1),
    ]
    right = [(1, atoms - 1, 0, TREE_SLOTS), (2, atoms - 2, 1, 2), (3, 4, (atoms - 5) // 127, 128), (4, 0, atoms - 1, 2)]
    rows = [*wrong, *right]
    requests = Requests(
        op=Op.TREE,
        address=[row[0] for row in rows],
        data=np.stack([operand(*row[1:]) for row in rows]),
        kind=ReduceKind.SUM,
    )
    port = tiny.run([requests, requests])[0].ports[0]
    assert port.status.tolist() == [Status.ADDRESS] * len(wrong) + [Status.OK] * len(right)
    tiny.run([Requests(op=Op.RD, address=np.arange(5))] * 2)


@pytest.mark.parametrize("bits", [1, 2])
def test_errors_of_slots(bench, bits, seed):
    """A single wrong bit of a slot is corrected, and written back; two make the result poison, and no other."""
    random = np.random.default_rng(seed)
    count, slots = 20, 9
    places = 100 + np.arange(count * slots)
    data = operands(random, len(places))
    bench.device.write(bench.key(places), data)
    bench.memories[0].write(places, np.ascontiguousarray(data, "<u4").view(np.uint8))
    hurt = np.arange(0, count, 3)
    chosen = 100 + hurt * slots + random.integers(0, slots, len(hurt))
    for key in bench.key(chosen).tolist():
        for bit in random.choice(266, bits, replace=False).tolist():
            bench.device.inject(key, bit=bit, kind="upset")
    if bits == 2:
        bench.memories[0].mark(chosen, Status.UNCORRECTABLE)
    bench.run([trees(np.arange(count), 100 + np.arange(count) * slots, 1, slots), None])
    bench.run([Requests(op=Op.RD, address=np.arange(count)), None])
    bench.settle()
    status = bench.hbm.run([Requests(op=Op.RD, address=np.r_[np.arange(count), chosen]), None]).ports[0].status
    lost = np.isin(np.arange(count), hurt) & (bits == 2)
    np.testing.assert_array_equal(status[:count], np.where(lost, Status.POISON, Status.OK))
    scrubbed = status[count:] == Status.OK
    assert scrubbed.any() if bits == 1 else (status[count:] == Status.UNCORRECTABLE).all()


def test_a_write_makes_a_poisoned_destination_whole(bench):
    """And a TREE too, whose slots are whole."""
    bench.memories[0].mark([3, 4], Status.POISON)
    for address in (3, 4):
        key = int(bench.key([address])[0])
        for bit in (0, 1):
            bench.device.inject(key, bit=bit, kind="upset")
    bench.run([Requests(op=Op.WR, address=[3], data=1), None])
    bench.run([trees([4], [100], 1, 5), None])
    bench.run([Requests(op=Op.RD, address=[3, 4]), None])


@pytest.mark.parametrize("slots", [2, 8, 72])
@pytest.mark.parametrize(
    "design, share", [(middle_design, 1.6), pytest.param(full_design, 1.25, marks=pytest.mark.long)]
)
def test_rate(design, share, slots):
    """Slots side by side, read as a stream: nearly as fast as the port can name them, if the pools are large."""
    bench = Bench(design())
    count = 2048 // slots
    requests = trees(np.arange(count), 4096 + np.arange(count) * slots, 1, slots)
    cycles = bench.hbm.run([requests, None]).cycles
    assert cycles < count * (slots + 3) * share + 300
