# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Receiver: its pace, what waits for what, and its tables behind the packets."""

import numpy as np
import pytest

from hdl.message.receiver import Receiver
from mtia.message import EVENT, Channel, PacketOp, Reason, flits, pack

from .receiving import (
    COMMUNICATORS,
    MEMORY,
    MTU,
    Bench,
    design as receiver,
    flat_windows,
    messages,
    number_of,
    words_of,
)

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def design():
    return receiver()


def test_a_flit_a_cycle(design):
    """Full packets on one channel: a flit is taken each cycle, its write is 2 cycles later."""
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    for channel, op in ((Channel.REQUEST, PacketOp.WRITE_IMMEDIATE), (Channel.RESPONSE, PacketOp.RESULT)):
        bench.lane.push(f"rx__{int(channel)}", messages(int(channel), op, 30, MTU, acknowledge=1))
        bench.lane.run({"write": 30 * flits(MTU)}, record=True)
        taken = bench.lane.transfer_cycles(f"rx__{int(channel)}")
        np.testing.assert_array_equal(np.diff(taken), 1)
        np.testing.assert_array_equal(bench.lane.transfer_cycles("write")[-len(taken) :], taken + 2)
        bench.lane.pull("write")


def test_channels_share_memory(design):
    """Both channels always have a flit: writes take turns, none waits for the other's packet to end."""
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    bench.lane.push("rx__0", messages(0, PacketOp.WRITE, 20, MTU))
    bench.lane.push("rx__1", messages(1, PacketOp.RESULT, 20, MTU))
    bench.lane.run({"write": 40 * flits(MTU)}, record=True)
    np.testing.assert_array_equal(np.diff(bench.lane.transfer_cycles("write")), 1)
    addresses = np.array([number_of(beat) & (1 << 48) - 1 for beat in bench.lane.pull("write")])
    np.testing.assert_array_equal(addresses[1:] >= MEMORY // 2, addresses[:-1] < MEMORY // 2)


def test_one_channel_stops_within_a_packet(design):
    """A packet of one channel that does not go on holds nothing of the other up."""
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    for stopped, other in ((0, 1), (1, 0)):
        packets = [messages(0, PacketOp.WRITE, 3, MTU), messages(1, PacketOp.RESULT, 3, MTU)]
        bench.lane.push(f"rx__{stopped}", packets[stopped][:20])
        bench.lane.push(f"rx__{other}", packets[other])
        bench.lane.run()
        bench.lane.push(f"rx__{stopped}", packets[stopped][20:])
        bench.lane.run()
        bench.lane.run(cycles=8)
        assert bench.lane.waiting("write") == 6 * flits(MTU)
        bench.lane.pull("write")


def test_responses_pass_while_answers_wait(design):
    """No answer leaves: REQUEST stops, every RESPONSE packet is taken all the same, and then all is answered."""
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    bench.lane.push("rx__0", messages(0, PacketOp.WRITE, 50, 10, acknowledge=1))
    count = 400
    for op in (PacketOp.RESULT, PacketOp.READY, PacketOp.DONE):
        bench.lane.push("rx__1", messages(1, op, count, 100 if op == PacketOp.RESULT else 0, acknowledge=1))
    never = {"reply": 1 - 2**-32}
    bench.lane.run({"acknowledged": count}, pauses=never)
    assert bench.lane.waiting("rx__1") == 0
    assert bench.lane.transfers("rx__0") < 12
    assert bench.lane.transfers("reply") == 0
    bench.lane.run({"reply": 50})
    assert bench.lane.waiting("rx__0") == 0


def test_what_follows_when(design):
    """An arrival is told 3 cycles after the last flit, a reply offered 4 after it; a query of that cycle finds it."""
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    event = pack(EVENT, communicator=1, piece=4)
    fields = {"event": event, "sequence": 300, "slot": 9, "acknowledge": 1}
    lane = bench.lane
    lane.push("rx__0", messages(0, PacketOp.WRITE_IMMEDIATE, 1, 90, **fields))
    number = event | 300 << 16 | 1 << 9 + 32
    lane.run(record=True)
    last = int(lane.transfer_cycles("rx__0")[-1])
    query = np.array([words_of(number, 104)] * 4)
    lane.push("query", query, not_before=np.arange(last + 2, last + 10, 2))
    for cycle in range(last + 1, last + 12):
        lane.run(cycles=1, record=True)  # `get` shows the next cycle's value
        assert lane.get("arrived") == (cycle + 1 == last + 3)
        assert not lane.get("arrived") or lane.get("arrived_event") == event
    assert lane.transfer_cycles("reply")[0] == last + 4
    asked = lane.transfer_cycles("query")
    expected = [int(cycle >= last + 4) for cycle in asked]
    assert lane.pull("answer")[:, 0].tolist() == expected
    assert 0 < sum(expected) < 4


def test_eager_messages(design):
    """SENDs go to their sources' parts, and are there in the order of their numbers."""
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    for source, sequence, offset in [(0, 0, 0), (3, 0, 512), (3, 1, 0), (29, 0, 992)]:
        fields = {"op": PacketOp.SEND, "window": 0, "source": source, "sequence": sequence, "offset": offset, "end": 1}
        bench.send(Channel.REQUEST, fields, bytes([source + 1]) * 32)
    wrong = {"op": PacketOp.SEND, "window": 0, "end": 1}
    bench.send(Channel.REQUEST, wrong | {"source": 30}, bytes(32))  # its part is not in the window
    bench.send(Channel.REQUEST, wrong | {"source": 3, "offset": 1024}, bytes(32))  # past its part
    bench.run()
    bench.check()
    queries = [(0, 0), (0, 1), (3, 1), (3, 0), (3, 2), (29, 0), (30, 0), (1, 0)]
    bench.lane.push(
        "eager_query", np.array([source | sequence << 8 for source, sequence in queries], np.uint32)[:, None]
    )
    bench.lane.run({"eager_answer": len(queries)})
    assert bench.lane.pull("eager_answer")[:, 0].tolist() == [1, 0, 1, 1, 0, 1, 0, 0]


def test_forgotten_communicators(design):
    """Events and READYs of one communicator go, those of others stay."""
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    events = [pack(EVENT, communicator=communicator, piece=2) for communicator in range(COMMUNICATORS)]
    for event in events:
        common = {"event": event, "source": 7, "window": 1, "key": 1, "end": 1, "slot": 7}
        bench.send(Channel.RESPONSE, common | {"op": PacketOp.RESULT}, b"")
        bench.send(Channel.RESPONSE, common | {"op": PacketOp.READY, "offset": 96}, b"")
    bench.run()
    queries, tokens = [(event, 0, 1 << 7) for event in events], [(index, 7, 0) for index in range(COMMUNICATORS)]
    assert bench.ask(queries) == [1, 1, 1]
    assert bench.ask_ready(tokens) == [(1, 96)] * 3
    bench.lane.push("forget", np.array([[1]], np.uint32))
    bench.lane.run()
    assert bench.ask(queries) == [1, 0, 1]
    assert [available for available, _ in bench.ask_ready(tokens)] == [1, 0, 1]


def test_counters(design):
    bench = Bench(design, np.random.default_rng(1), flat_windows())
    bench.lane.push("rx__0", messages(0, PacketOp.WRITE, 3, 100))
    bench.lane.push("rx__1", messages(1, PacketOp.READY, 5, 0))
    bench.lane.push("rx__0", messages(0, PacketOp.REDUCE, 2, 1))
    bench.lane.push("rx__1", messages(1, PacketOp.WRITE, 4, 1))
    bench.run()
    assert (bench.lane.get("packets_in"), bench.lane.get("flits_in")) == (14, 17 + 3)
    assert bench.lane.get(f"refused__{int(Reason.OPERATION)}") == 6
    assert bench.lane.transfers("reply") == 2  # of REQUEST alone


def test_parameters():
    values = {"windows": 3, "communicators": 2, "ports": 8, "mtu": 96, "replies": 5}
    assert Receiver(**values).parameters == values
    for name, wrong, rule in [
        ("windows", 1, "in 2 to 256"),
        ("communicators", 17, "in 1 to 16"),
        ("ports", 73, "in 1 to 72"),
        ("mtu", 4128, "in 32 to 4064"),
        ("replies", 1, "at least 2"),
    ]:
        with pytest.raises(ValueError, match=f"Receiver {name} must be {rule}, not {wrong}"):
            Receiver(**{name: wrong})
