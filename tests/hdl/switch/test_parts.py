# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""The parts by themselves against plain models: queues, matching, routes, places."""

import random as python_random
from dataclasses import replace

import pytest

from golden.switch import Switch as Model
from hdl.hbm.select import RoundRobin
from hdl.switch.buses import Buses
from hdl.switch.crossbar import Crossbar
from hdl.switch.matching import Matching
from hdl.switch.places import Piece, Places
from hdl.switch.queues import VirtualQueues
from hdl.switch.reduction import ReductionUnit
from hdl.switch.route import Route
from hdl.switch.switch import Switch
from mtia.message import HEADER, Channel, PacketOp, pack
from mtia.switch import SwitchParameters
from tests.hdl.pysim import run, simulate

from .support import FOUR, PLAIN


def test_queues(seed):
    """Random pushes, bindings and room against lists: order within a queue, whole packets, nothing lost."""
    dut, random = VirtualQueues(queues=3, depth=4), python_random.Random(seed)
    levels: list[list[tuple[int, bool]]] = [[] for _ in range(3)]
    bound: set[int] = set()
    inside = [False] * 3
    left: list[tuple[int, int]] = []

    async def bench(ctx):
        number = 0
        for _ in range(2000):
            room = random.getrandbits(3)
            ctx.set(dut.room, room)
            assert ctx.get(dut.full) == sum(1 << queue for queue in range(3) if len(levels[queue]) == 4)
            queue = random.randrange(3)
            pushes = len(levels[queue]) < 4 and random.random() < 0.7
            last = random.random() < 0.4
            ctx.set(dut.push, 1 << queue if pushes else 0)
            ctx.set(dut.i, {"data": number, "head": 0, "last": last})
            able = [each for each in sorted(bound) if levels[each] and room >> each & 1]
            ends = able[:1] if able and levels[able[0]][0][1] else []
            assert ctx.get(dut.ends) == sum(1 << each for each in ends)
            assert ctx.get(dut.is_free) == (able == ends)
            free = [each for each in range(3) if each not in bound or each in ends]
            request = [each for each in range(3) if len(levels[each]) + (pushes and each == queue) > (each in able[:1])]
            assert ctx.get(dut.request) == sum(1 << each for each in request)
            starts = [each for each in free if each in request][:1] if able == ends and random.random() < 0.6 else []
            ctx.set(dut.start, sum(1 << each for each in starts))
            expected = None
            if able:
                expected = (able[0], levels[able[0]].pop(0)[0])
                left.append(expected)
            bound.difference_update(ends)
            bound.update(starts)
            if pushes:
                levels[queue].append((number, last))
                inside[queue] = not last
                number += 1
            await ctx.tick()
            assert ctx.get(dut.o_target) == (1 << expected[0] if expected else 0)
            if expected:
                assert ctx.get(dut.o.data) == expected[1]

    simulate(dut, bench)
    assert len(left) > 500
    for queue in range(3):
        mine = [number for index, number in left if index == queue]
        assert mine == sorted(mine)


def test_matching(seed):
    """An output is one input's until its packet ends, then at once another's; an input that is not free gets none."""
    inputs, outputs = 4, 5
    dut, random = Matching(inputs=inputs, outputs=outputs), python_random.Random(seed)
    owner: dict[int, int] = {}
    served = [[0] * outputs for _ in range(inputs)]

    async def bench(ctx):
        before: dict[int, int] = {}
        for _ in range(3000):
            ending = {}
            for source in range(inputs):
                mine = [output for output, other in owner.items() if other == source]
                ends = random.choice(mine) if mine and random.random() < 0.5 else None
                if ends is not None:
                    ending[ends] = source
                ctx.set(dut.ends[source], 0 if ends is None else 1 << ends)
                ctx.set(dut.request[source], requests := random.getrandbits(outputs))
                asked[source] = requests
            is_free = random.getrandbits(inputs)
            ctx.set(dut.is_free, is_free)
            for output, source in before.items():
                assert ctx.get(dut.select[output]) == source
            starts = [ctx.get(dut.start[source]) for source in range(inputs)]
            for output in ending:
                del owner[output]
            before = {**owner, **ending}
            able = [
                (source, output)
                for source in range(inputs)
                for output in range(outputs)
                if is_free >> source & 1 and asked[source] >> output & 1 and output not in owner
            ]
            assert any(starts) == bool(able)
            for source, start in enumerate(starts):
                if start:
                    assert start & (start - 1) == 0
                    assert (source, start.bit_length() - 1) in able
                    assert start.bit_length() - 1 not in owner
                    owner[start.bit_length() - 1] = source
                    served[source][start.bit_length() - 1] += 1
            await ctx.tick()

    asked = [0] * inputs
    simulate(dut, bench)
    assert min(min(row) for row in served) > 30


def test_matching_turns():
    """All inputs ask one output: each is served once in as many packets as there are inputs."""
    dut = Matching(inputs=5, outputs=2)
    order: list[int] = []

    async def bench(ctx):
        ctx.set(dut.is_free, 0b11111)
        for source in range(5):
            ctx.set(dut.request[source], 0b10)
        for _ in range(20):
            for source in range(5):
                ctx.set(dut.ends[source], 0b10 if order and order[-1] == source else 0)
            order.extend(source for source in range(5) if ctx.get(dut.start[source]) == 0b10)
            await ctx.tick()

    simulate(dut, bench)
    assert order == [0, 1, 2, 3, 4] * 4


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("parameters", (FOUR, PLAIN, replace(FOUR, groups=1, buses=1)), ids=("four", "plain", "one"))
def test_route(parameters, channel, seed):
    """Random headers, most of them nearly right, against the golden model."""
    random = python_random.Random(seed)
    dut = Route(parameters=parameters, channel=channel)
    model = Model(parameters)
    rows, wanted = [], []
    for _ in range(3000):
        fields = {
            "op": random.choice([PacketOp.REDUCE, PacketOp.REDUCE, random.randrange(16)]),
            "multicast": random.random() < 0.3,
            "source": 1,
            "destination": random.choice([random.randrange(6), random.randrange(256)]),
            "kind": random.choice([1, 2, 3, random.randrange(4)]),
            "format": random.choice([0, 1, 2, random.randrange(64)]),
            "slot": random.choice([0, 1, random.randrange(256)]),
            "ranks": random.choice([2, 3, random.randrange(256)]),
            "length": random.choice([32, 288, 289, random.randrange(1 << 16)]),
            "group": random.choice([0, 1, random.randrange(256)]),
        }
        model.up = random.choice([(1 << parameters.ports) - 1, random.getrandbits(parameters.ports)])
        member = random.choice([(1 << parameters.groups) - 1, random.getrandbits(parameters.groups)])
        model.groups = [2 * (member >> group & 1) for group in range(parameters.groups)]
        reason = model.reason({name: int(fields.get(name, 0)) for name, _ in HEADER}, channel)
        queue = fields["destination"]
        if fields["multicast"]:
            queue = parameters.ports + fields["destination"] % max(1, parameters.buses)
        rows.append((pack(HEADER, **fields), model.up, member))
        wanted.append((reason, 1 << queue if not reason else None))
    found = run(dut, [dut.header, dut.up, dut.member], [dut.reason, dut.target], rows)
    for row, (reason_found, target_found), (reason, target) in zip(rows, found, wanted, strict=True):
        assert reason_found == reason, hex(row[0])
        assert target in (None, target_found), hex(row[0])
    assert {int(reason) for reason, _ in wanted} >= ({0, 1, 8} if not parameters.buses else {0, 1, 4, 8})


def test_places(seed):
    """Contributions to random keys against a dictionary: found, fits, full, released."""
    dut, random = Places(places=3, ranks=4), python_random.Random(seed)
    held: dict[int, dict[str, int]] = {}

    async def bench(ctx):
        for _ in range(1500):
            key, kind, slot = random.randrange(5), random.choice([1, 1, 1, 2]), random.randrange(4)
            ctx.set(dut.piece, {"group": 1, "event": key, "kind": kind, "ranks": 1 + key % 4})
            ctx.set(dut.slot, 1 << slot)
            found, before = ctx.get(dut.found), {place: piece["kind"] for place, piece in held.items()}
            known = [place for place, piece in held.items() if piece["key"] == key]
            free = [place for place in range(3) if place not in held]
            place = known[0] if known else free[0] if free else None
            assert found == (0 if place is None else 1 << place)
            ctx.set(dut.at, found)
            enters, released = False, 0
            if place is not None:
                there = held.get(place)
                assert ctx.get(dut.is_new) == (there is None)
                fits = there is None or (there["kind"] == kind and not there["slots"] >> slot & 1)
                assert ctx.get(dut.fits) == fits
                enters = fits and random.random() < 0.8
                ctx.set(dut.take, there is None)
                ctx.set(dut.enter, enters)
                ctx.set(dut.leave, not enters)
                held.setdefault(place, {"key": key, "kind": kind, "slots": 0})
                held[place]["slots"] |= enters << slot
                assert ctx.get(dut.has_partner) == (held[place]["slots"] >> (slot ^ 1) & 1)
                assert ctx.get(dut.is_alone) == (slot % 2 == 0 and slot == key % 4)
                if not held[place]["slots"]:
                    del held[place]
            if held and random.random() < 0.2:
                released = random.choice(sorted(held))
                if released != place:
                    del held[released]
                    released = 1 << released
                else:
                    released = 0
            ctx.set(dut.released, released)
            for asked, told in zip(dut.asked, dut.told, strict=True):
                here = random.choice(sorted(before)) if before else 0
                ctx.set(asked, here)
                assert not before or ctx.get(told.kind) == before[here]
            await ctx.tick()
            for name in ("take", "enter", "leave", "released"):
                ctx.set(getattr(dut, name), 0)

    simulate(dut, bench)
    assert len(Piece.members) == 13


@pytest.mark.parametrize(
    ("build", "parameters", "error", "words"),
    [
        (VirtualQueues, {"queues": 1, "depth": 4}, ValueError, r"^Virtual queues must be at least 2, not 1$"),
        (VirtualQueues, {"queues": 2, "depth": 2}, ValueError, r"^Virtual queue depth must be at least 4, not 2$"),
        (VirtualQueues, {"queues": 2, "depth": 6}, ValueError, r"^Virtual queue depth must be a power of two, not 6$"),
        (Matching, {"inputs": 1, "outputs": 2}, ValueError, r"^Matching inputs must be at least 2, not 1$"),
        (Matching, {"inputs": 2, "outputs": 1}, ValueError, r"^Matching outputs must be at least 2, not 1$"),
        (Crossbar, {"shape": 1, "inputs": 1, "outputs": 2}, ValueError, r"^Crossbar inputs must be at least 2, not 1$"),
        (
            Crossbar,
            {"shape": 1, "inputs": 2, "outputs": 1},
            ValueError,
            r"^Crossbar outputs must be at least 2, not 1$",
        ),
        (
            Crossbar,
            {"shape": 0, "inputs": 2, "outputs": 2},
            ValueError,
            r"^Crossbar shape must be at least one bit wide",
        ),
        (Places, {"places": 1, "ranks": 2}, ValueError, r"^Places must be at least 2, not 1$"),
        (Places, {"places": 2, "ranks": 1}, ValueError, r"^Ranks must be at least 2, not 1$"),
        (Buses, {"parameters": PLAIN, "channel": 0}, ValueError, r"^Switch buses must be at least 1 here, not 0$"),
        (ReductionUnit, {"parameters": PLAIN}, ValueError, r"^Switch pieces must be at least 2 here, not 0$"),
        (Switch, {"parameters": 8}, TypeError, r"^Switch parameters must be SwitchParameters, not 8$"),
        (Route, {"parameters": PLAIN, "channel": 2}, ValueError, r"2 is not a valid Channel"),
    ],
)
def test_wrong(build, parameters, error, words):
    with pytest.raises(error, match=words):
        build(**parameters)


def test_parameters_are_told():
    """Shared parts tell the whole of what they are built from."""
    dut = Switch(parameters=SwitchParameters(ports=4, pieces=0))
    assert dut.parameters.queues == 5
    assert RoundRobin(inputs=3).inputs == 3
