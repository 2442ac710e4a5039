"""Unicast through the whole switch: nothing lost, doubled or out of order; latency, throughput, fairness."""

from collections import defaultdict
from collections.abc import Hashable

import numpy as np
import pytest

from golden.packets import encode
from golden.switch import flow, header
from mtia.message import Channel, PacketOp, Reason
from tb.switch.bench import Packet, SwitchBench, beats, compare, packets

from .support import EIGHT, PLAIN, bench_of, pauses_of, unicast


@pytest.mark.sim
@pytest.mark.parametrize("parameters", (EIGHT, PLAIN), ids=("eight", "plain"))
@pytest.mark.parametrize("waits", ((0, 0), (0.4, 0), (0, 0.6), (0.3, 0.3)), ids=str)
def test_all_to_all(parameters, waits, seed):
    """Packets of random lengths from each port to each, on both channels, with pauses on every stream."""
    bench, random = bench_of(parameters), np.random.default_rng(seed)
    everyone = list(range(parameters.ports))
    for port in everyone:
        for channel in Channel:
            bench.push(port, channel, unicast(random, channel, everyone, 120))
    bench.run(pauses=pauses_of(parameters, *waits), seed=seed)
    bench.check()


@pytest.mark.sim
def test_latency():
    """Four cycles from each port to each on both channels, with nothing between the flits of the packet."""
    bench = bench_of()
    for channel in Channel:
        for source in range(EIGHT.ports):
            for target in range(EIGHT.ports):
                bench.reset()
                bench.push(source, channel, [encode({"destination": target}, bytes(200))])
                bench.run(record=True)
                went = bench.lane.transfer_cycles(f"i_{source}__{int(channel)}")
                came = bench.lane.transfer_cycles(f"o_{target}__{int(channel)}")
                np.testing.assert_array_equal(came - went, 4)
                bench.check()


@pytest.mark.sim
def test_cut_through():
    """A head leaves long before the rest of its packet is there."""
    bench = bench_of()
    bench.push(0, Channel.REQUEST, [encode({"destination": 7}, bytes(1056))])
    bench.run(pauses={"i_0__0": 0.9}, record=True)
    latencies = bench.lane.transfer_cycles("o_7__0") - bench.lane.transfer_cycles("i_0__0")
    np.testing.assert_array_equal(latencies, 4)


@pytest.mark.sim
@pytest.mark.parametrize("longest", (0, 200, 1056))
def test_permutation_at_full_rate(longest, seed):
    """Each port sends to one other: a flit a cycle at every output, however short the packets."""
    bench, random = bench_of(), np.random.default_rng(seed)
    targets = random.permutation(EIGHT.ports).tolist()
    for source, target in enumerate(targets):
        for channel in Channel:
            bench.push(source, channel, unicast(random, channel, [target], 600, longest=longest))
    longest_stream = max(bench.expected().values())
    assert bench.run() <= longest_stream + 6
    bench.check()


def accepted(bench: SwitchBench, cycles: int) -> float:
    """Flits a cycle and output on channel REQUEST, after a thousand cycles to fill the queues."""
    bench.lane.run(cycles=1000)
    before = sum(bench.lane.transfers(f"o_{port}__0") for port in range(EIGHT.ports))
    bench.lane.run(cycles=cycles)
    return (sum(bench.lane.transfers(f"o_{port}__0") for port in range(EIGHT.ports)) - before) / cycles / EIGHT.ports


@pytest.mark.sim
@pytest.mark.parametrize(("longest", "least"), ((0, 0.9), (256, 0.9), (1056, 0.85)))
def test_uniform_random_traffic(longest, least, seed):
    """Inputs that always have a packet, to any port with equal chance; queues of 64 flits."""
    bench, random = bench_of(), np.random.default_rng(seed)
    everyone = list(range(EIGHT.ports))
    for port in everyone:
        count = 10000 * 64 // (64 + longest // 2)
        bench.push(port, Channel.REQUEST, unicast(random, Channel.REQUEST, everyone, count, longest=longest))
    rate = accepted(bench, 6000)
    print(f"uniform random, up to {longest} bytes: {rate:.3f} of the outputs' rate")
    assert rate > least
    bench.run()
    bench.check()


@pytest.mark.sim
def test_hot_spot_is_fair(seed):
    """All ports send to one: packets of the sources come in turn, and the output never idles."""
    bench, random = bench_of(), np.random.default_rng(seed)
    for port in range(EIGHT.ports):
        bench.push(port, Channel.REQUEST, unicast(random, Channel.REQUEST, [3], 50))
    flits = bench.expected()["o_3__0"]
    assert bench.run() <= flits + 6
    found = packets(bench.lane.pull("o_3__0"))
    sources = [header(packet)["source"] for packet in found]
    for turn in range(8, len(sources) - 8, 8):
        assert sorted(sources[turn : turn + 8]) == list(range(8))


@pytest.mark.sim
def test_a_stopped_output_holds_only_its_own(seed):
    """Traffic among the others goes on while one output takes nothing and its queues are not full."""
    bench, random = bench_of(), np.random.default_rng(seed)
    others = list(range(1, EIGHT.ports))
    for port in others:
        bench.push(port, Channel.REQUEST, unicast(random, Channel.REQUEST, [0], 1))
        bench.push(port, Channel.REQUEST, unicast(random, Channel.REQUEST, others, 100))
    needs = {name: flits for name, flits in bench.expected().items() if name != "o_0__0"}
    bench.lane.run(needs, pauses={"o_0__0": 0.999999}, stall_cycles=3000)
    bench.run()
    bench.check()


@pytest.mark.sim
def test_channels_do_not_wait_for_each_other(seed):
    """With every output of channel REQUEST stopped, all of channel RESPONSE still arrives."""
    bench, random = bench_of(), np.random.default_rng(seed)
    everyone = list(range(EIGHT.ports))
    for port in everyone:
        for channel in Channel:
            bench.push(port, channel, unicast(random, channel, everyone, 200))
    stopped = {f"o_{port}__0": 0.999999 for port in everyone}
    needs = {name: flits for name, flits in bench.expected().items() if name.endswith("__1")}
    bench.lane.run(needs, pauses=stopped, stall_cycles=3000)
    bench.run()
    bench.check()


@pytest.mark.sim
def test_reset_in_the_middle(seed):
    """After a reset under load nothing of before is left."""
    bench, random = bench_of(), np.random.default_rng(seed)
    everyone = list(range(EIGHT.ports))
    for _ in range(2):
        bench.reset()
        for port in everyone:
            bench.push(port, Channel.REQUEST, unicast(random, Channel.REQUEST, everyone, 50))
        bench.lane.run(cycles=137)
    bench.run()
    bench.check()


@pytest.mark.sim
def test_refused(seed):
    """Packets for a port that there is not, or is down, are answered and counted; those of channel RESPONSE counted."""
    bench, random = bench_of(), np.random.default_rng(seed)
    bench.links(0b10111101)
    targets = [0, 1, 2, 3, 6, 7, 8, 9, 71, 72, 200, 255]
    for port in (0, 2, 3, 4, 5, 7):
        for channel in Channel:
            bench.push(port, channel, unicast(random, channel, targets, 100))
        answers = [encode({"op": op, "destination": 77}, b"") for op in (PacketOp.DONE, PacketOp.REFUSED)]
        bench.push(port, Channel.REQUEST, answers)
    bench.run(pauses=pauses_of(EIGHT, 0.1, 0.3), seed=seed)
    assert sum(map(len, bench.model.refused.values())) > 500
    bench.check()


@pytest.mark.sim
def test_a_link_goes_down_under_load(seed):
    """What is on its way to it is dropped and what comes later refused: no input stops, and nobody else loses any."""
    bench, random = bench_of(), np.random.default_rng(seed)
    everyone = list(range(EIGHT.ports))
    for port in everyone:
        bench.push(port, Channel.REQUEST, unicast(random, Channel.REQUEST, everyone, 100))
    bench.lane.run(cycles=300, pauses={"o_2__0": 0.9}, seed=seed)
    bench.lane.set("up", 0b11111011)
    bench.lane.run({name: flits for name, flits in bench.expected().items() if name != "o_2__0"}, stall_cycles=3000)
    bench.lane.run(cycles=300)
    assert not any(bench.lane.waiting(f"i_{port}__0") for port in everyone)
    assert 0 < bench.lane.transfers("o_2__0") < bench.expected()["o_2__0"]
    assert sum(bench.lane.get(f"refused__{port}") for port in everyone) > 0
    for port in set(everyone) - {2}:
        came: dict[Hashable, list[Packet]] = defaultdict(list)
        for packet in packets(bench.lane.pull(f"o_{port}__0")):
            came[flow(packet)].append(packet)
        compare(came, bench.model.outputs[port, Channel.REQUEST], f"output {port}")


@pytest.mark.sim
def test_a_packet_without_head_is_dropped():
    """It is counted and not answered, and the next packet is as good as ever."""
    bench = bench_of()
    good = encode({"destination": 1}, bytes(100))
    words = beats([good])
    words[0, 16] &= 2
    bench.lane.push("i_4__0", words)
    bench.push(4, Channel.REQUEST, [good])
    bench.run()
    assert bench.lane.get("refused__4") == 1
    bench.model.refused[4].append(Reason.OPERATION)
    bench.check()
