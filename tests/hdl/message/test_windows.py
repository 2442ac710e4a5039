# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Windows and their check: what a lookup finds when, every reason by name, and which of two comes first."""

import itertools
import random
from collections import Counter

import pytest
from amaranth.hdl import Module, ResetInserter, Signal, Value

from golden.packets import place, refusal
from hdl.message.windows import Check, Windows
from mtia.message import EVENT, HEADER, MAX_RANKS, WINDOW, Channel, PacketOp, Reason, Right, pack

from ..pysim import run, simulate

MTU, COMMUNICATORS, PORTS = 1056, 5, 16

#: a window and a packet for each channel that it takes
OPEN = {
    "valid": 1,
    "rights": 7,
    "partition": 3,
    "epoch": 7,
    "key": 0xDEADBEEF,
    "base": 0x1000,
    "size": 0x2000,
    "sources": 1 << 5 | 1 << 9,
    "part_log": 4,
}
PACKET = {"source": 5, "partition": 3, "epoch": 7, "key": 0xDEADBEEF, "offset": 64, "length": 100, "window": 1}
PACKETS = {
    PacketOp.WRITE: PACKET,
    PacketOp.WRITE_IMMEDIATE: PACKET | {"event": pack(EVENT, piece=3, communicator=4), "slot": 71},
    PacketOp.SEND: PACKET,
    PacketOp.RESULT: PACKET | {"event": pack(EVENT, phase=2, communicator=0), "slot": 3},
}
#: what is changed in packet and window to be refused for a reason
WRONG: dict[Reason, list[tuple[dict, dict]]] = {
    Reason.WINDOW: [({}, {"valid": 0})],
    Reason.PARTITION: [({"partition": 2}, {})],
    Reason.SOURCE: [({"source": 6}, {}), ({"source": 72}, {}), ({"source": 254}, {}), ({}, {"sources": 0})],
    Reason.KEY: [({"key": 0xDEADBEEE}, {}), ({"key": 0x5EADBEEF}, {})],
    Reason.EPOCH: [({"epoch": 6}, {})],
    Reason.RIGHTS: [({}, {"rights": 0})],
    Reason.RANGE: [
        ({"offset": 0x2000}, {}),
        ({"offset": 80}, {}),
        ({"offset": 1}, {}),
        ({"length": MTU + 1}, {}),
        ({"length": 65535}, {}),
        ({"offset": (1 << 48) - 32}, {}),
        ({"offset": (1 << 48) - 0x1000}, {"size": (1 << 48) - 1}),
        ({}, {"size": 163}),
        ({}, {"base": 0x1010}),
        ({}, {"base": (1 << 48) - 128}),
    ],
}


def judge(cases, channel, *, communicators=COMMUNICATORS, ports=PORTS):
    """Reason, whether the payload lands and the address for packets and windows."""
    dut = Check(channel=channel, mtu=MTU, communicators=communicators, ports=ports)
    rows = [
        (pack(HEADER, **packet), pack(WINDOW, **window), packet.get("offset", 0) + packet.get("length", 0))
        for packet, window in cases
    ]
    results = run(dut, [dut.header, dut.window, dut.end], [dut.reason, dut.lands, dut.address], rows)
    return [(Reason(reason), lands, address) for reason, lands, address in results]


def channel_of(op):
    return Channel.RESPONSE if op == PacketOp.RESULT else Channel.REQUEST


@pytest.mark.parametrize("op", PACKETS)
def test_each_reason(op):
    """A packet that passes, then one for each way to be refused, and those that differ in what does not matter."""
    packet = PACKETS[op] | {"op": int(op)}
    assert judge([(packet, OPEN)], channel_of(op)) == [(Reason.NONE, 1, place(packet, OPEN))]
    wrong = [(reason, *change) for reason, changes in WRONG.items() for change in changes]
    results = judge([(packet | in_packet, OPEN | in_window) for _, in_packet, in_window in wrong], channel_of(op))
    for (reason, *change), (found, lands, _) in zip(wrong, results, strict=True):
        assert (found, lands) == (reason, 0), change
    same = [{"command": 9}, {"immediate": 7}, {"acknowledge": 1}, {"end": 1}, {"multicast": 1}, {"destination": 8}]
    results = judge([(packet | each, OPEN) for each in same], channel_of(op))
    assert results == [(Reason.NONE, 1, place(packet, OPEN))] * len(same)


@pytest.mark.parametrize("op", PACKETS)
def test_order_of_reasons(op):
    """Of two reasons the earlier one is told."""
    packet = PACKETS[op] | {"op": int(op)}
    first, cases = [], []
    for one, other in itertools.combinations(WRONG, 2):
        for (packet_1, window_1), (packet_2, window_2) in itertools.product(WRONG[one], WRONG[other]):
            if not (set(packet_1) & set(packet_2) or set(window_1) & set(window_2)):
                first.append(one)
                cases.append((packet | packet_1 | packet_2, OPEN | window_1 | window_2))
    assert len(cases) > 100
    assert [reason for reason, _, _ in judge(cases, channel_of(op))] == first


@pytest.mark.parametrize("channel", Channel)
def test_operations(channel):
    """Each operation on its own channel alone; those that name no window pass without one and land nothing."""
    own = {
        Channel.REQUEST: (PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.SEND),
        Channel.RESPONSE: (PacketOp.READY, PacketOp.RESULT, PacketOp.DONE, PacketOp.REFUSED),
    }[channel]
    cases = [(PACKET | {"op": op}, OPEN | {"valid": valid}) for op in range(16) for valid in (1, 0)]
    for (packet, window), (reason, lands, _) in zip(cases, judge(cases, channel), strict=True):
        op = packet["op"]
        is_closed = op in PACKETS and not window["valid"]
        assert reason == (Reason.OPERATION if op not in own else Reason.WINDOW if is_closed else Reason.NONE)
        assert lands == (op in PACKETS and op in own and not is_closed)


@pytest.mark.parametrize(("op", "needs"), [(PacketOp.WRITE, 1), (PacketOp.WRITE_IMMEDIATE, 3), (PacketOp.SEND, 4)])
def test_rights(op, needs):
    cases = [(PACKETS[op] | {"op": int(op)}, OPEN | {"rights": rights}) for rights in range(8)]
    expected = [Reason.NONE if rights & needs == needs else Reason.RIGHTS for rights in range(8)]
    assert [reason for reason, _, _ in judge(cases, Channel.REQUEST)] == expected


def test_results_of_the_switch():
    """Source 255 is the switch itself: its RESULTs pass where events are allowed, nothing else of it does."""
    packet = PACKETS[PacketOp.RESULT] | {"op": int(PacketOp.RESULT), "source": 255}
    cases = [(packet, OPEN | {"rights": rights}) for rights in (7, 3, 2, 1, 5)]
    expected = [Reason.NONE, Reason.NONE, Reason.RIGHTS, Reason.SOURCE, Reason.SOURCE]
    assert [reason for reason, _, _ in judge(cases, Channel.RESPONSE)] == expected
    write = PACKETS[PacketOp.WRITE] | {"op": int(PacketOp.WRITE), "source": 255}
    assert judge([(write, OPEN)], Channel.REQUEST)[0][0] == Reason.SOURCE


def test_events_and_tokens_that_are_not_kept():
    write = PACKETS[PacketOp.WRITE_IMMEDIATE] | {"op": int(PacketOp.WRITE_IMMEDIATE)}
    events = [pack(EVENT, communicator=COMMUNICATORS), pack(EVENT, communicator=15), pack(EVENT, reserved=1)]
    cases = [(write | {"event": event}, OPEN) for event in events] + [(write | {"slot": 72}, OPEN)]
    assert [reason for reason, _, _ in judge(cases, Channel.REQUEST)] == [Reason.RANGE] * 4
    ready = {"op": int(PacketOp.READY), "source": PORTS - 1, "event": pack(EVENT, communicator=COMMUNICATORS - 1)}
    wrong = [{"source": PORTS}, {"source": 255}, {"event": events[0]}]
    reasons = [reason for reason, _, _ in judge([(ready | each, OPEN) for each in ({}, *wrong)], Channel.RESPONSE)]
    assert reasons == [Reason.NONE, Reason.RANGE, Reason.RANGE, Reason.RANGE]


def test_parts_of_sources():
    """A SEND goes to its source's part and ends there; the last source's part must lie in the window."""
    send = PACKET | {"op": int(PacketOp.SEND), "offset": 0, "length": 512}
    window = OPEN | {"size": 512 * 6}
    cases = [
        (send, window),
        (send | {"offset": 32}, window),
        (send | {"length": 513}, window),
        (send, window | {"size": 512 * 6 - 1}),
        (send | {"source": 9}, window),
        (send | {"source": 9}, window | {"size": 512 * 10}),
        (send | {"source": 9, "length": 1}, OPEN | {"part_log": 15, "size": 10 << 20}),
        (send | {"source": 9, "length": 1}, OPEN | {"part_log": 15, "size": (10 << 20) - 1}),
    ]
    results = judge(cases, Channel.REQUEST)
    reasons = [Reason.NONE, *[Reason.RANGE] * 4, Reason.NONE, Reason.NONE, Reason.RANGE]
    assert [reason for reason, _, _ in results] == reasons
    assert [results[k][2] - OPEN["base"] for k in (0, 5, 6)] == [5 * 512, 9 * 512, 9 << 20]


@pytest.mark.parametrize("channel", Channel)
def test_random(channel, seed):
    """Against the golden check: headers near a window's, with some fields anything at all."""
    rng = random.Random(seed)
    cases = []
    for _ in range(4000):
        window = OPEN | {"rights": rng.choice([7, 7, 7, rng.randrange(8)]), "part_log": rng.randrange(8)}
        packet = PACKET | {"op": rng.choice([*PACKETS, *PacketOp]), "slot": rng.randrange(80)}
        packet["op"] = int(packet["op"])
        packet["event"] = pack(EVENT, piece=rng.randrange(32), communicator=rng.randrange(COMMUNICATORS + 1))
        packet["offset"], packet["length"] = rng.randrange(0x2000 // 32) * 32, rng.randrange(MTU + 2)
        for name, width in rng.sample(HEADER, rng.choice([0, 0, 1, 2])):
            packet[name] = rng.getrandbits(width)
        if rng.random() < 0.3:
            name, width = rng.choice(WINDOW)
            window[name] = rng.getrandbits(width)
        cases.append((packet, window))
    met: Counter[Reason] = Counter()
    for (packet, window), (reason, lands, address) in zip(cases, judge(cases, channel), strict=True):
        expected = refusal(packet, window, MTU, channel=channel, communicators=COMMUNICATORS, ports=PORTS)
        assert reason == expected, (packet, window)
        assert lands == (reason == Reason.NONE and packet["op"] in PACKETS)
        assert not lands or address == place(packet, window)
        met[reason] += 1
    # of the operations on RESPONSE one needs a window
    assert set(met) == set(Reason)
    assert min(met.values()) >= 5


def test_lookups(seed):
    """Changes and lookups at random: each lookup finds what the changes of earlier cycles and its own have left."""
    rng = random.Random(seed)
    dut = Windows(windows=5, readers=2)
    known: dict[int, int] = {}
    seen: Counter[str] = Counter()

    async def bench(ctx):
        expected: list[int | None] = [None, None]
        for _ in range(2000):
            index, word = rng.randrange(8), rng.getrandbits(256)
            changes = rng.random() < 0.4
            ctx.set(dut.configure.valid, changes)
            ctx.set(Value.cast(dut.configure.payload), index | word << 8)
            assert ctx.get(dut.configure.ready)
            before = dict(known)
            if changes and index < 5:
                known[index] = word
            for reader in range(2):
                found = expected[reader]
                entry = ctx.get(dut.entry[reader].as_value())
                if found is None:
                    assert not entry & 1
                else:
                    assert entry == found
                looks, where = rng.random() < 0.6, rng.randrange(8)
                ctx.set(dut.enable[reader], looks)
                ctx.set(dut.index[reader], where)
                if looks:
                    word_there = known.get(where, 0)
                    expected[reader] = word_there if word_there & 1 else None
                    seen["changed meanwhile"] += before.get(where) != known.get(where)
            await ctx.tick()

    simulate(dut, bench)
    assert seen["changed meanwhile"] > 20


def test_reset_closes():
    """After reset all windows are closed, whatever the table holds."""
    dut = Windows(windows=3)
    reset = Signal()
    top = Module()
    top.submodules.dut = ResetInserter(reset)(dut)

    async def bench(ctx):
        for index in range(3):
            ctx.set(dut.configure.valid, 1)
            ctx.set(Value.cast(dut.configure.payload), index | 1 << 8)
            await ctx.tick()
        ctx.set(dut.configure.valid, 0)
        for resets in (0, 1):
            ctx.set(reset, resets)
            await ctx.tick()
            ctx.set(reset, 0)
            for index in range(3):
                ctx.set(dut.enable[0], 1)
                ctx.set(dut.index[0], index)
                await ctx.tick()
                assert ctx.get(dut.entry[0].valid) == 1 - resets

    simulate(top, bench)


def test_parameters_wrong():
    with pytest.raises(ValueError, match="Windows windows must be in 2 to 256, not 257"):
        Windows(windows=257)
    with pytest.raises(ValueError, match="Windows readers must be at least 1, not 0"):
        Windows(readers=0)
    with pytest.raises(TypeError, match="Check channel must be a Channel, not 0"):
        Check(channel=0)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(ValueError, match=r"Check mtu must be 32 \+ 64 k, not 64"):
        Check(channel=Channel.REQUEST, mtu=64)
    with pytest.raises(ValueError, match="Check mtu must be in 32 to 4064, not 4128"):
        Check(channel=Channel.REQUEST, mtu=4128)
    with pytest.raises(ValueError, match="Check communicators must be in 1 to 16, not 17"):
        Check(channel=Channel.REQUEST, communicators=17)
    with pytest.raises(ValueError, match=f"Check ports must be in 1 to {MAX_RANKS}, not 73"):
        Check(channel=Channel.REQUEST, ports=73)
    assert (Windows(windows=4, readers=3).windows, Windows(windows=4, readers=3).readers) == (4, 3)
    check = Check(channel=Channel.RESPONSE, mtu=96, communicators=2, ports=8)
    assert (check.channel, check.mtu, check.communicators, check.ports) == (Channel.RESPONSE, 96, 2, 8)


def test_rights_are_those_of_the_table():
    assert (Right.WRITE, Right.EVENT, Right.SEND) == (1, 2, 4)
