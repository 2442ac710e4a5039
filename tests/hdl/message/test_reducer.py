# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""The reducer against golden's tree, bit for bit; copies, words set and read; its rate, and the memory's pauses."""

import numpy as np
import pytest

from golden import near_memory as golden
from hdl.message.jobs import MemoryOp
from hdl.message.line_sums import LineSums
from hdl.message.reducer import Reducer
from hdl.message.reducer_read import LineReader
from hdl.message.reducer_write import LineWriter
from mtia.message import MAX_RANKS
from mtia.near_memory import ATOM_BYTES, ReduceFormat, ReduceKind
from tb.lane import Lane

SIZE = 1 << 16
KINDS = [ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN]
READS = 32


@pytest.fixture(scope="module")
def lanes():
    return {width: Lane(Reducer(width=width, reads=READS), name=f"reducer_{width}") for width in (1, 2)}


def numbers(generator, format, count):
    """Bytes that are finite numbers of like size in the format (or MX operands), so that the order of a sum shows."""
    element = format.memory
    if format.operand is not None:
        atoms = generator.integers(0, 256, (count // ATOM_BYTES, ATOM_BYTES), np.uint8)
        atoms[:, -1] = generator.integers(118, 130, len(atoms))
        return atoms.reshape(-1)
    low, high = (8, 24) if element.exponent_bits == 5 else (118, 134)
    code = generator.integers(low, high, count * 8 // element.width) << element.mantissa_bits
    code |= generator.integers(0, 1 << element.mantissa_bits, code.shape)
    code |= generator.integers(0, 2, code.shape) << element.width - 1
    return code.astype(f"<u{element.width // 8}").view(np.uint8)


def random_job(generator, thread, slots=None, op=MemoryOp.SUM, length=None):
    slots = int(generator.integers(1, MAX_RANKS + 1)) if slots is None else slots
    length = int(generator.integers(1, 600)) if length is None else length
    stride = 32 * -(-length // 32)
    return {
        "thread": thread,
        "op": op,
        "kind": int(generator.choice(KINDS)),
        "format": 0,
        "slots": slots,
        "own": int(generator.integers(0, slots)),
        "base": 32 * int(generator.integers(0, 8)),
        "stride": stride if slots * stride < SIZE - 4096 else 32 * int(generator.integers(0, 20)),
        "own_address": 32 * int(generator.integers(0, SIZE // 32 - 64)),
        "target": 32 * int(generator.integers(0, 1 << 30)),
        "length": length,
        "value": int(generator.integers(0, 1 << 32)),
    }


class Memory:
    """What reads of the jobs give, and what they have to write."""

    def __init__(self, data, width):
        self.data, self.line = data, 64 * width

    def reads(self, job):
        """Addresses in order."""
        if job["op"] == MemoryOp.SET or not job["length"]:
            return []
        lines = range(0, job["length"], self.line)
        if job["op"] == MemoryOp.COPY:
            return [job["own_address"] + at for at in lines]
        starts = [
            job["own_address"] if slot == job["own"] else job["base"] + slot * job["stride"]
            for slot in range(job["slots"])
        ]
        return [start + at for at in lines for start in starts]

    def bytes(self, address, count):
        return self.data[np.arange(address, address + count) % SIZE]

    def writes(self, job):
        """Address, bytes and enables of each write, enabled bytes only."""
        if job["op"] == MemoryOp.SET:
            word = np.frombuffer(job["value"].to_bytes(4, "little"), np.uint8)
            return [(job["target"] & ~31, word, job["target"] & 31)]
        found = []
        reads = self.reads(job)
        step = job["slots"] if job["op"] == MemoryOp.SUM else 1
        for number, at in enumerate(range(0, job["length"], self.line)):
            lines = np.stack([self.bytes(a, self.line) for a in reads[number * step : (number + 1) * step]])
            if job["op"] == MemoryOp.SUM:
                atoms = lines.reshape(step, -1, ATOM_BYTES)
                result = golden.tree(ReduceKind(job["kind"]), ReduceFormat(job["format"]), atoms).reshape(-1)
            else:
                result = lines[0]
            found.append((job["target"] + at, result[: job["length"] - at], 0))
        return found


def push(lane, jobs):
    lane.push(
        "work", {name: np.array([int(getattr(job[name], "value", job[name])) for job in jobs]) for name in jobs[0]}
    )


def check(lane, width, data, jobs, **options):
    """All jobs, data given as soon as asked for; returns the cycles."""
    memory = Memory(data, width)
    lane.reset()
    push(lane, jobs)
    reads = [address for job in jobs for address in memory.reads(job)]
    lines = np.stack([memory.bytes(address, memory.line) for address in reads]) if reads else np.zeros((0, memory.line))
    lane.push("sum_data", np.ascontiguousarray(lines, np.uint8))
    expected = [write for job in jobs for write in memory.writes(job)]
    cycles = lane.run({"done": len(jobs)}, **options)
    np.testing.assert_array_equal(lane.pull_fields("sum_read")["address"], np.array(reads, np.uint64))
    np.testing.assert_array_equal(lane.pull_fields("done")["thread"], [job["thread"] for job in jobs])
    writes = lane.pull_fields("sum_write")
    assert len(writes["address"]) == len(expected)
    got_data = np.ascontiguousarray(writes["data"], "<u4").view(np.uint8)
    enables = np.unpackbits(
        np.ascontiguousarray(writes["enable"]).view(np.uint8).reshape(len(expected), -1), axis=1, bitorder="little"
    )
    for index, (address, result, first) in enumerate(expected):
        assert writes["address"][index] == address
        want = np.zeros(memory.line, np.uint8)
        want[first : first + len(result)] = 1
        np.testing.assert_array_equal(enables[index], want)
        np.testing.assert_array_equal(got_data[index][first : first + len(result)], result)
    return cycles


@pytest.mark.sim
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("format", ReduceFormat, ids=lambda item: item.name)
def test_sums(lanes, width, format, seed):
    """Any number of slots, any length, every kind, one's own slot elsewhere."""
    generator = np.random.default_rng(seed)
    data = numbers(generator, format, SIZE)
    jobs = [random_job(generator, n % 32) | {"format": format} for n in range(20)]
    check(lanes[width], width, data, jobs)


@pytest.mark.sim
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("slots", [1, 2, 3, 7, 8, 16, 71, 72])
def test_every_length_around_a_line(lanes, width, slots, seed):
    generator = np.random.default_rng(seed)
    line = 64 * width
    lengths = [1, 31, 32, 33, line - 1, line, line + 1, 2 * line, 3 * line + 5]
    jobs = [random_job(generator, n, slots=slots, length=length) for n, length in enumerate(lengths)]
    check(lanes[width], width, numbers(generator, ReduceFormat.FP32, SIZE), jobs)


@pytest.mark.sim
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize(
    "pauses", [{}, {"sum_data": 0.5}, {"sum_write": 0.6, "done": 0.9}, {"sum_read": 0.5, "work": 0.3, "sum_write": 0.3}]
)
def test_mixed_jobs_under_pauses(lanes, width, pauses, seed):
    """Sums of changing numbers of slots, copies, words set, jobs of nothing: in order whatever waits."""
    generator = np.random.default_rng(seed)
    data = numbers(generator, ReduceFormat.BF16, SIZE)
    jobs = []
    for n in range(120):
        op = MemoryOp(int(generator.choice([0, 0, 1, 2])))
        slots = int(generator.choice([1, 2, 2, 5, 8]))
        job = random_job(generator, n % 32, slots=slots, op=op) | {"format": ReduceFormat.BF16}
        if op == MemoryOp.SET:
            job["target"] += 4 * int(generator.integers(0, 8))
        elif generator.random() < 0.1:
            job["length"] = 0
        jobs.append(job)
    check(lanes[width], width, data, jobs, pauses=pauses, seed=seed)


@pytest.mark.sim
@pytest.mark.parametrize(("slots", "a_line"), [(1, 2), (2, 2), (4, 4), (8, 8), (16, 16), (72, 74)])
def test_rate(lanes, slots, a_line, seed):
    """A line of one slot a cycle, but for what the tree needs more."""
    generator = np.random.default_rng(seed)
    job = random_job(generator, 1, slots=slots, length=64 * 64) | {"stride": 32}
    cycles = check(lanes[1], 1, numbers(generator, ReduceFormat.FP32, SIZE), [job])
    print(f"{slots} slots: {cycles} cycles for 64 lines")
    assert cycles <= 64 * a_line * 1.02 + 60


@pytest.mark.sim
def test_copy_rate(lanes, seed):
    generator = np.random.default_rng(seed)
    job = random_job(generator, 1, op=MemoryOp.COPY, length=1 << 14)
    cycles = check(lanes[2], 2, numbers(generator, ReduceFormat.FP32, SIZE), [job])
    assert cycles <= (1 << 14) // 128 + 12


@pytest.mark.sim
@pytest.mark.parametrize("width", [1, 2])
def test_words_read_among_sums(lanes, width, seed):
    """Loads share the reads, and each gets its own word."""
    generator = np.random.default_rng(seed)
    lane, line = lanes[width], 64 * width
    data = numbers(generator, ReduceFormat.FP32, SIZE)
    memory = Memory(data, width)
    lane.reset()
    jobs = [random_job(generator, n, slots=5) for n in range(10)]
    words = 4 * generator.integers(0, SIZE // 4 - 64, 60)
    push(lane, jobs)
    lane.push("load", {"address": words}, not_before=np.arange(60) * 7)
    asked = []
    while lane.waiting("done") < len(jobs) or lane.waiting("loaded") < len(words):
        lane.run(cycles=3)
        addresses = lane.pull_fields("sum_read")["address"].astype(np.int64)
        asked += addresses.tolist()
        if len(addresses):
            lane.push("sum_data", np.stack([memory.bytes(address, line) for address in addresses]))
        assert lane.cycles < 20_000
    want = np.stack([memory.bytes(word & ~31, 64) for word in words])
    np.testing.assert_array_equal(np.ascontiguousarray(lane.pull_fields("loaded")["data"], "<u4").view(np.uint8), want)
    assert sorted(asked) == sorted([a for job in jobs for a in memory.reads(job)] + [int(w) & ~31 for w in words])


@pytest.mark.parametrize(
    ("build", "parameters", "error", "words"),
    [
        (Reducer, {"width": 0}, ValueError, r"^Reducer width must be in 1 to 4, not 0$"),
        (Reducer, {"width": 5}, ValueError, r"^Reducer width must be in 1 to 4, not 5$"),
        (Reducer, {"reads": 3}, ValueError, r"^Reducer reads must be at least 4, not 3$"),
        (Reducer, {"reads": "8"}, TypeError, r"^Reducer reads must be an integer, not '8'$"),
        (LineReader, {"width": 0}, ValueError, r"^Reducer width must be in 1 to 4, not 0$"),
        (LineSums, {"width": 5}, ValueError, r"^Line sums width must be in 1 to 4, not 5$"),
        (LineWriter, {"width": 0}, ValueError, r"^Reducer width must be in 1 to 4, not 0$"),
    ],
)
def test_wrong_parameters(build, parameters, error, words):
    with pytest.raises(error, match=words):
        build(**parameters)
