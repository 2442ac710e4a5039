# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Every program through the sequencer, step by step beside the golden one; commands side by side, late and wrong."""

import itertools
import random

import pytest

from golden.message_command import Command
from golden.message_rules import malformed
from hdl.message.sequencer import Sequencer
from hdl.message.tables import Space
from mtia.collectives import PROGRAMS, Algorithm, Collective
from mtia.collectives_entries import ME, NEXT, Cut, Entry, Place, Program, Subgraph, encode
from mtia.collectives_geometry import descriptor, geometry
from mtia.message import (
    COMMUNICATOR,
    DESCRIPTOR,
    EVENT,
    PROGRAM,
    Base,
    Comparison,
    DescriptorOp,
    Expect,
    Extent,
    PacketOp,
    Repeat,
    Status,
    Sync,
    WorkOp,
    pack,
    unpack,
)
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.lane import Lane
from tb.message.sequencing import GoldenThread, Surroundings

IMAGE = encode(list(PROGRAMS.values()))
PROGRAM_NAMES = [f"{collective}-{algorithm}" for collective, algorithm in PROGRAMS]
SHAPE = {"partitions": 2, "commands": 4, "threads": 16}
PHASES = 3


@pytest.fixture(scope="module")
def lane():
    return Lane(Sequencer(**SHAPE), name="sequencer")


def communicator(rank, ranks, **fields):
    own = {"valid": 1, "rank": rank, "ranks": ranks, "group": 3, "partition": 1, "landing_window": 4}
    own |= {"output_window": 5, "epoch": 6, "key": 0x1234_5678, "landing": 1 << 40, "parity_bytes": 1 << 24}
    return own | {"first_port": 7, "output": 1 << 30} | fields


def collective(draw, name, ranks, index=0, **fields):
    """A descriptor of random bytes, pieces and root."""
    limit = 32 * draw.choice([1, 2, 33, 127])
    most = draw.choice([256, 4096, 40_000])
    if PROGRAMS[name].one_packet:
        most = min(most, limit * 20)
    cut = geometry(*name, ranks=ranks, bytes=4 * draw.randrange(1, most // 4), piece_limit=limit)
    return descriptor(
        name[0],
        name[1],
        cut,
        command=draw.getrandbits(16),
        communicator=index,
        partition=1,
        root=draw.randrange(ranks),
        kind=draw.choice([ReduceKind.SUM, ReduceKind.MAX]),
        format=draw.choice([ReduceFormat.FP32, ReduceFormat.BF16]),
        input=32 * draw.getrandbits(30),
        output=(1 << 30) + 32 * draw.getrandbits(20),
        **fields,
    )


def expect_arrivals(around, fields, sequence=0, pieces=None):
    """All that can ever arrive for a collective, in any order."""
    index = fields["communicator"]
    ranks, first = (around.communicators[index][name] for name in ("ranks", "first_port"))
    for piece in range(fields["pieces"]):
        for slot in range(ranks):
            for phase in range(PHASES):
                event = pack(EVENT, piece=piece, phase=phase, parity=sequence % 2, communicator=index)
                around.arrivals.append((event, sequence & 0xFFFF, slot))
            around.offers.append((index, first + slot))


def golden_threads(around, fields, sequence=0):
    whole = unpack(DESCRIPTOR, pack(DESCRIPTOR, **fields))
    command = Command(0, whole, sequence=sequence)
    program = unpack(PROGRAM, IMAGE.directory[fields["program"]])
    return [GoldenThread(around, command, program[f"entry_{n}"]) for n in range(program["subgraphs"])]


def same(job, want):
    """Whether a job is what the golden thread gives out."""
    if job["stream"] == "sent":
        header = job["header"]
        assert all(header[name] == int(want[name]) for name in want if name not in ("source", "length"))
        assert (job["source"], job["length"]) == (want["source"], want["length"])
    else:
        assert all(job[name] == int(want[name]) for name in want)


def run_beside(around, fields, sequence=0, limit=60_000):
    """Runs a collective; each job must be the next of its golden thread, and nothing may come before its time."""
    expect_arrivals(around, fields, sequence)
    threads = golden_threads(around, fields, sequence)

    def settled():
        threads[0].command.unsettled -= 1

    around.on_end = lambda thread, stream: threads[thread].ended(stream)
    around.on_settled = settled
    seen, begun = len(around.jobs), around.lane.cycles
    around.ring(fields, 1)
    count = len(around.completions)
    while len(around.completions) == count:
        around.cycle()
        for job in around.jobs[seen:]:
            same(job, threads[job["thread"]].next())
        seen = len(around.jobs)
        assert around.lane.cycles - begun < limit, "stuck"
    assert [thread.next() for thread in threads] == [None] * len(threads)
    completion = around.completions[-1]
    assert completion["status"] == Status.OK
    assert completion["command"] == fields["command"]
    assert completion["bytes"] == fields["bytes"]
    assert completion["partition"] == 1
    return around.lane.cycles - begun


@pytest.mark.sim
@pytest.mark.parametrize("name", PROGRAMS, ids=PROGRAM_NAMES)
def test_programs(lane, name, seed):
    """Two of each in a row on the same communicator: both parities."""
    draw = random.Random(seed)
    for ranks in [2, 3, draw.randrange(4, 12)]:
        if ranks > (PROGRAMS[name].most_ranks or 72):
            continue
        around = Surroundings(
            lane,
            IMAGE,
            {2: communicator(draw.randrange(ranks), ranks)},
            seed=draw.getrandbits(30),
            pace=draw.choice([0.2, 0.9]),
            pauses={"send": 0.3, "work": 0.3, "query": 0.2, "ready_query": 0.2},
        )
        for sequence in range(2):
            sizes = 4 * draw.getrandbits(40)
            fields = collective(draw, name, ranks, 2)
            if name[0] is Collective.ALLTOALLV:
                around.memory = {sizes + 4 * n: draw.choice([0, draw.randrange(1 << 17)]) for n in range(ranks)}
                fields |= {"immediate": sizes & 0xFFFF_FFFF, "event": sizes >> 32}
            run_beside(around, fields, sequence)


#: a descriptor of a message, of a copy, of nothing
PUT = {"op": DescriptorOp.PUT, "partition": 1, "peer": 3, "window": 9, "bytes": 100, "input": 64, "output": 96}
COPY = {"op": DescriptorOp.COPY, "partition": 1, "bytes": 77, "input": 640, "output": 1 << 33}
NOOP = {"op": DescriptorOp.NOOP, "partition": 1}


def quiet(lane, image=IMAGE, *, ranks=9, seed=1, pace=0.999, communicators=None):
    """Surroundings that are as quick as can be, rank 1."""
    return Surroundings(lane, image, communicators or {2: communicator(1, ranks)}, seed=seed, pace=pace)


def small(**fields):
    """A descriptor of a collective of one piece of 100 bytes."""
    cut = {"owners": 1, "bytes": 100, "chunk": 128, "last": 100, "piece": 128, "pieces": 1}
    return {"op": 1, "partition": 1, "command": 7, "communicator": 2, "output": 1 << 30} | cut | fields


def write(**fields):
    """An entry that sends the whole to the next rank."""
    return Entry(op=WorkOp.WRITE_IMMEDIATE, extent=Extent.WHOLE, peer=NEXT, target=Place(Base.OUTPUT, ME), **fields)


def wait(**fields):
    """An entry that only waits."""
    return Entry(op=WorkOp.NOOP, extent=Extent.EMPTY, **fields)


def programs(*subgraphs):
    """An image of programs, each a list of subgraphs, each a list of entries."""
    return encode([Program(subgraphs=tuple(Subgraph(tuple(s)) for s in p), cut=Cut.WHOLE) for p in subgraphs])


@pytest.mark.sim
@pytest.mark.parametrize("ranks", [2, 16, 72])
@pytest.mark.parametrize("algorithm", [Algorithm.TWO_SHOT, Algorithm.IN_SWITCH, Algorithm.ONE_SHOT, Algorithm.RING])
def test_many_ranks(lane, ranks, algorithm, seed):
    """The first and the last rank; 72 of them with few bytes, so that most chunks are empty."""
    draw = random.Random(seed)
    for rank in (0, ranks - 1):
        around = quiet(lane, communicators={2: communicator(rank, ranks)}, seed=draw.getrandbits(30))
        cut = geometry(Collective.ALLREDUCE, algorithm, ranks=ranks, bytes=draw.choice([256, 4096]), piece_limit=64)
        fields = descriptor(Collective.ALLREDUCE, algorithm, cut, command=3, communicator=2, partition=1)
        run_beside(around, fields | {"output": 1 << 30, "kind": 1})


@pytest.mark.sim
def test_doorbell_to_message(lane):
    """A PUT is offered to the sender 4 cycles after its doorbell."""
    around = quiet(lane)
    around.ring(PUT | {"command": 9, "immediate": 0xABCD, "key": 77, "epoch": 5}, 1)
    lane.run({"send": 1}, record=True)
    assert lane.transfer_cycles("send")[-1] - lane.transfer_cycles("doorbell__1")[-1] == 4
    around.cycle(8)
    (job,) = around.jobs
    header = {"op": PacketOp.WRITE, "destination": 3, "window": 9, "partition": 1, "key": 77, "epoch": 5}
    header |= {"offset": 96, "immediate": 0xABCD, "acknowledge": 0}
    assert {name: job["header"][name] for name in header} == header
    assert (job["source"], job["length"], job["thread"]) == (64, 100, 16 + 4)
    assert [c["command"] for c in around.completions] == [9]


@pytest.mark.sim
def test_put_with_an_event(lane):
    around = quiet(lane)
    around.ring(PUT | {"event": 0x123, "root": 6, "immediate": 0x5_4321}, 1)
    around.cycle(12)
    header = around.jobs[0]["header"]
    assert header["op"] == PacketOp.WRITE_IMMEDIATE
    assert (header["event"], header["slot"], header["sequence"]) == (0x123, 6, 0x4321)


@pytest.mark.sim
def test_doorbell_to_first_step(lane):
    around = quiet(lane, programs([[write()]]))
    around.ring(small(), 1)
    lane.run({"send": 1}, record=True)
    assert lane.transfer_cycles("send")[-1] - lane.transfer_cycles("doorbell__1")[-1] == 10


@pytest.mark.sim
@pytest.mark.parametrize(
    ("entries", "most"),
    [([[write()] * 8], 4), ([[write(), write(), write()] for _ in range(4)], 3), ([[write(repeat=Repeat.PEERS)]], 1)],
    ids=["entry to entry", "four threads", "step to step"],
)
def test_step_to_step(lane, entries, most):
    """Entries of one thread, of four, and steps of one entry."""
    around = quiet(lane, programs(entries))
    around.ring(small(), 1)
    around.cycle(90)
    cycles = [job["cycle"] for job in around.jobs]
    assert len(cycles) == 8 if len(entries) == 1 else 12
    assert max(b - a for a, b in itertools.pairwise(cycles)) <= most


@pytest.mark.sim
def test_last_event_to_completion(lane):
    """And nothing is asked in vain: a question when it begins to wait, and one for each arrival."""
    around = quiet(lane, programs([[wait(sync=Sync.RECEIVE_SYNC, expect=Expect.ALL)]]), ranks=3)
    around.ring(small(), 1)
    around.cycle(300)
    assert around.queries == 1
    assert not around.completions
    event, arrived = pack(EVENT, communicator=2), 0
    for slot in (0, 2):
        around.arrivals = [(event, 0, slot), (event + 1, 0, slot)]
        around.cycle(2)
        arrived = lane.cycles
        around.cycle(40)
    assert around.queries == 3
    assert around.completions[0]["cycle"] - arrived == 4


@pytest.mark.sim
def test_last_answer_to_completion(lane):
    """A PUT that asks for it ends with its acknowledgement; sent alone is not enough."""
    around = quiet(lane)
    around.ring(PUT | {"acknowledge": 1, "bytes": 5}, 1)
    around.pace = 0.0
    around.cycle(10)
    (tag,) = around.unsettled
    around.pace, around.unsettled = 0.999, []
    around.cycle(60)
    assert not around.completions
    around.acknowledge(tag)
    begun = lane.cycles
    around.cycle(20)
    assert around.completions[0]["status"] == Status.OK
    assert around.completions[0]["bytes"] == 5
    assert around.completions[0]["cycle"] - begun <= 6


@pytest.mark.sim
def test_fence(lane):
    """Waits for the acknowledgements of the command, whichever thread asked for them."""
    around = quiet(lane, programs([[write(acknowledge=True, repeat=Repeat.PEERS)], [wait(), write(sync=Sync.FENCE)]]))
    around.pace = 0.0
    around.ring(small(), 1)
    around.cycle(60)
    assert len(around.jobs) == 8 == len(around.unsettled)
    for left in reversed(range(8)):
        around.acknowledge(around.unsettled.pop())
        around.cycle(20)
        assert len(around.jobs) == (9 if left == 0 else 8)


@pytest.mark.sim
def test_refused(lane):
    """The command ends at once with the reason, its threads stop, and a late answer hits nobody."""
    image = programs([[write(repeat=Repeat.RANKS), wait(sync=Sync.RECEIVE_SYNC, expect=Expect.ALL), write()]])
    around = quiet(lane, image)
    around.ring(small(), 1)
    around.cycle(60)
    assert len(around.jobs) == 9
    assert not around.completions
    tag = around.jobs[0]["header"]["command"]
    around.acknowledge(tag, reason=6)
    around.cycle(20)
    completion = around.completions[0]
    assert (completion["status"], completion["detail"], completion["command"]) == (Status.REFUSED, 6, 7)
    around.ring(small(command=8, program=0), 1)
    around.acknowledge(tag, reason=5)
    around.cycle(60)
    around.acknowledge(tag, reason=5)
    assert around.jobs[-1]["header"]["command"] & 15 == tag & 15
    assert around.jobs[-1]["header"]["sequence"] == 1
    expect_arrivals(around, small(), 1)
    around.cycle(120)
    assert [c["status"] for c in around.completions] == [Status.REFUSED, Status.OK]


@pytest.mark.sim
def test_link_down(lane):
    """Commands that need the link end, running, waiting and new; COPY and NOOP do not."""
    around = quiet(lane, programs([[wait(sync=Sync.RECEIVE_SYNC, expect=Expect.ALL), write()]]))
    for command in (1, 2):
        around.ring(small(command=command), 1)
    around.cycle(60)
    lane.set("link_down", 1)
    around.cycle(30)
    for command, fields in enumerate((PUT, COPY, NOOP, small()), 3):
        around.ring(fields | {"command": command}, 1)
    around.cycle(60)
    down = {c["command"]: c["status"] for c in around.completions}
    link, fine = Status.LINK_DOWN, Status.OK
    assert down == {1: link, 2: link, 3: link, 4: fine, 5: fine, 6: link}
    assert [job["stream"] for job in around.jobs] == ["done"]
    lane.set("link_down", 0)
    around.ring(PUT | {"command": 9}, 1)
    around.cycle(30)
    assert around.completions[-1]["command"] == 9
    assert around.completions[-1]["status"] == Status.OK


@pytest.mark.sim
def test_copy_and_nothing(lane):
    around = quiet(lane)
    around.ring(COPY | {"command": 1}, 1)
    around.ring(NOOP | {"command": 2}, 1)
    around.cycle(40)
    (job,) = around.jobs
    want = {"op": 1, "own_address": 640, "target": 1 << 33, "length": 77, "thread": 20, "stream": "done"}
    assert {name: job[name] for name in want} == want
    assert sorted(c["command"] for c in around.completions) == [1, 2]


@pytest.mark.sim
def test_semaphore_starts_a_command(lane):
    """Nothing before the word is as it should be; few reads; others go on meanwhile."""
    around = quiet(lane)
    condition = {"comparison": Comparison.GREATER_EQUAL, "semaphore": 0x1004, "value": 5}
    around.ring(PUT | {"command": 1} | condition, 1)
    around.ring(COPY | {"command": 2}, 1)
    around.memory[0x1004] = 4
    around.cycle(400)
    assert [c["command"] for c in around.completions] == [2]
    assert 5 <= around.loads <= 14
    around.memory[0x1004] = 6
    around.cycle(60)
    assert [c["command"] for c in around.completions] == [2, 1]


@pytest.mark.sim
def test_wait_and_set(lane):
    """WAIT waits for the descriptor's condition, SET writes its immediate; two threads wait for one word."""
    target = Place(Base.SEMAPHORE)
    image = programs(
        [
            [Entry(op=WorkOp.WAIT, sync=Sync.RECEIVE_SYNC, expect=Expect.ROOT), write()],
            [Entry(op=WorkOp.WAIT), Entry(op=WorkOp.SET, extent=Extent.EMPTY, target=target)],
        ]
    )
    around = quiet(lane, image)
    # The condition holds for the start of the command, and must hold again for its threads.
    around.memory[0x2008] = 3
    fields = small(comparison=Comparison.EQUAL, semaphore=0x2008, value=3, immediate=0xDEAD_BEEF, root=4)
    around.ring(fields, 1)
    while not around.loads:
        around.cycle()
    around.cycle(3)
    around.memory[0x2008] = 0
    around.cycle(200)
    assert not around.jobs
    around.memory[0x2008] = 3
    around.cycle(80)
    (job,) = around.jobs
    assert (job["op"], job["target"], job["value"], job["stream"]) == (2, 0x2008, 0xDEAD_BEEF, "done")
    around.arrivals = [(pack(EVENT, communicator=2), 0, 4)]
    around.cycle(80)
    assert [job["stream"] for job in around.jobs] == ["done", "sent"]
    assert around.completions[0]["status"] == Status.OK


@pytest.mark.sim
def test_one_communicator_in_order_others_side_by_side(lane, seed):
    """Four commands on two communicators: those of one follow each other with the next sequence number."""
    image = programs([[write(repeat=Repeat.PEERS), wait(sync=Sync.RECEIVE_SYNC, expect=Expect.ALL)]])
    around = quiet(lane, image, communicators={n: communicator(1, 4, partition=n) for n in (0, 1)}, seed=seed)
    for command in range(4):
        fields = small(command=command, communicator=command % 2, partition=command % 2)
        around.ring(fields, command % 2)
    around.cycle(100)
    headers = [job["header"] for job in around.jobs]
    assert sorted((h["event"] >> 8, h["sequence"]) for h in headers) == [(0, 0)] * 3 + [(1, 0)] * 3
    expect_arrivals(around, small(communicator=1))
    around.cycle(150)
    assert [c["command"] for c in around.completions] == [1]
    headers = [job["header"] for job in around.jobs[6:]]
    assert [(h["event"] >> 7, h["sequence"]) for h in headers] == [(0b11, 1)] * 3
    for sequence, index in ((1, 1), (0, 0), (1, 0)):
        expect_arrivals(around, small(communicator=index), sequence)
        around.cycle(200)
    assert [c["command"] for c in around.completions] == [1, 3, 0, 2]


@pytest.mark.sim
def test_a_partition_that_waits_holds_no_other_back(lane):
    """All slots and the ring of partition 1 are full of commands that wait for each other."""
    around = quiet(lane, programs([[wait(sync=Sync.RECEIVE_SYNC, expect=Expect.ALL)]]))
    for command in range(20):
        around.ring(small(command=command), 1)
    around.cycle(60)
    assert lane.waiting("doorbell__1") == 20 - 4 - 4
    for command in range(100, 130):
        around.ring(PUT | {"command": command, "partition": 0}, 0)
    around.cycle(300)
    assert [c["command"] for c in around.completions] == list(range(100, 130))
    for sequence in range(20):
        expect_arrivals(around, small(), sequence)
        around.cycle(150)
    assert [c["command"] for c in around.completions[30:]] == list(range(20))


@pytest.mark.sim
def test_another_partition_s_communicator(lane):
    """The ring, not the descriptor, says whose it is."""
    around = quiet(lane, programs([[write()]]))
    around.ring(small(command=1), 0)
    around.ring(small(command=2, partition=0), 0)
    around.ring(small(command=3, partition=0), 1)
    around.cycle(40)
    assert sorted((c["command"], c["status"], c["partition"]) for c in around.completions) == [
        (1, Status.MALFORMED, 0),
        (2, Status.MALFORMED, 0),
        (3, Status.MALFORMED, 1),
    ]
    assert not around.jobs


@pytest.mark.sim
def test_fuzzed_descriptors(lane, seed):
    """Each gets a completion; a malformed one does nothing, and those after it run as if it had not been."""
    draw = random.Random(seed)
    around = quiet(lane, programs([[write(repeat=Repeat.PEERS)]]), seed=seed)
    known = {2: around.communicators[2]}
    bad = good = 0
    for number_ in range(300):
        fields = {**dict.fromkeys(dict(DESCRIPTOR), 0), **draw.choice([small(), small(), dict(PUT), dict(COPY)])}
        for name, bits in draw.sample([f for f in DESCRIPTOR if f[0] not in ("partition", "comparison")], 2):
            fields[name] = draw.getrandbits(bits)
        fields["command"] = number_
        is_bad = malformed(fields, known, around.image.directory)
        jobs, count = len(around.jobs), len(around.completions)
        around.ring(fields, 1)
        while len(around.completions) == count:
            around.cycle()
            assert lane.cycles < 500_000
        completion = around.completions[-1]
        assert completion["command"] == number_
        assert (completion["status"], completion["detail"]) == (Status.MALFORMED if is_bad else Status.OK, is_bad)
        if is_bad:
            assert len(around.jobs) == jobs
        bad, good = bad + bool(is_bad), good + (not is_bad)
    assert bad > 50
    assert good > 50
    around.ring(small(command=999), 1)
    around.cycle(80)
    assert around.completions[-1]["command"] == 999
    assert around.completions[-1]["status"] == Status.OK


@pytest.mark.sim
def test_new_communicator_counts_from_zero(lane):
    around = quiet(lane, programs([[write()]]))
    for _ in range(3):
        around.ring(small(), 1)
        around.cycle(60)
    around.configure(Space.COMMUNICATORS, 2, pack(COMMUNICATOR, **around.communicators[2]))
    around.cycle(4)
    around.ring(small(), 1)
    around.cycle(60)
    assert [job["header"]["sequence"] for job in around.jobs] == [0, 1, 2, 0]


@pytest.mark.sim
def test_slow_sender_does_not_stop_the_reducer(lane):
    """A thread without room for its messages leaves; another one's sums are given out meanwhile."""
    sums = [Entry(op=WorkOp.SUM, extent=Extent.WHOLE)] * 3
    around = quiet(lane, programs([[write(repeat=Repeat.PEERS)] * 3, sums]), ranks=30)
    around.pauses = {"send": 0.999}
    around.ring(small(kind=1), 1)
    around.cycle(100)
    assert [job["stream"] for job in around.jobs].count("done") == 3
    around.pauses = None
    around.cycle(300)
    assert len(around.jobs) == 3 * 29 + 3
    assert around.completions[0]["status"] == Status.OK


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"partitions": 0}, ValueError, r"^Partitions must be in 1 to 8, not 0$"),
        ({"depth": 1}, ValueError, r"^Depth must be at least 2, not 1$"),
        ({"commands": 17}, ValueError, r"^Commands must be in 1 to 16, not 17$"),
        ({"partitions": 4, "commands": 5}, ValueError, r"^Partitions times commands must be in 2 to 16, not 20$"),
        ({"partitions": 1, "commands": 1}, ValueError, r"^Partitions times commands must be in 2 to 16, not 1$"),
        ({"communicators": 17}, ValueError, r"^Communicators must be in 1 to 16, not 17$"),
        ({"programs": 0}, ValueError, r"^Programs must be in 1 to 256, not 0$"),
        ({"entries": 513}, ValueError, r"^Entries must be in 2 to 512, not 513$"),
        ({"threads": 3}, ValueError, r"^Threads must be in 4 to 16, not 3$"),
        ({"sends": 1}, ValueError, r"^Sends must be in 2 to 64, not 1$"),
        ({"works": 17}, ValueError, r"^Works must be in 2 to 16, not 17$"),
        ({"completion_depth": 0}, ValueError, r"^Completion depth must be at least 1, not 0$"),
        ({"interval": 0}, ValueError, r"^Interval must be at least 1, not 0$"),
        ({"threads": "4"}, TypeError, r"^Threads must be an integer, not '4'$"),
    ],
)
def test_wrong_parameters(parameters, error, words):
    with pytest.raises(error, match=words):
        Sequencer(**parameters)
