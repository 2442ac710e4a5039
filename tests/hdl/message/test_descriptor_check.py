# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Which descriptors may not start, as the golden rules say, and one field wrong at a time."""

import random

import pytest

from golden.message_rules import malformed
from hdl.message.descriptor_check import DescriptorCheck
from hdl.message.layouts import Communicator, Descriptor, Program
from mtia.message import COMMUNICATOR, DESCRIPTOR, PROGRAM, DescriptorOp, Fault, pack, unpack
from tests.hdl.pysim import run

COMMUNICATORS, PROGRAMS = 4, 6
GOOD = {"op": 1, "partition": 3, "communicator": 2, "program": 1, "root": 4, "owners": 5, "bytes": 900, "chunk": 256}
GOOD |= {"last": 100, "piece": 64, "pieces": 4, "format": 1, "kind": 1, "input": 1 << 20, "output": 1 << 30}
PEERS = {"valid": 1, "rank": 3, "ranks": 5, "partition": 3, "output": 1 << 29}
#: a change that makes the good one bad, and the operations for which it does
WRONG = [
    ({"op": 4}, {1}),
    ({"op": 15}, {1}),
    ({"comparison": 5}, {0, 1, 2, 3}),
    ({"partition": 2}, {0, 1, 2, 3}),
    ({"semaphore": 2}, {0, 1, 2, 3}),
    ({"semaphore": 1}, {0, 1, 2, 3}),
    ({"input": 16}, {0, 1, 2}),
    ({"output": (1 << 30) + 8}, {0, 1, 2}),
    ({"peer": 72}, {0}),
    ({"communicator": 4}, {1}),
    ({"communicator": 1}, {1}),
    ({"program": 6}, {1}),
    ({"program": 2}, {1}),
    ({"program": 3}, {1}),
    ({"root": 5}, {1}),
    ({"owners": 6}, {1}),
    ({"chunk": 250}, {1}),
    ({"piece": 63}, {1}),
    ({"last": 257}, {1}),
    ({"pieces": 0}, {1}),
    ({"pieces": 33}, {1}),
    ({"format": 3}, {1}),
    ({"format": 28}, {1}),
    ({"format": 32}, {1}),
    ({"output": 1 << 28}, {1}),
]
BAD_PEERS = [{"valid": 0}, {"ranks": 0}, {"ranks": 73}, {"rank": 5}, {"partition": 4}, {"output": (1 << 29) + 16}]
#: what a wrong field is told as
FAULT_OF = {
    **{name: Fault[name.upper()] for name in ("comparison", "partition", "semaphore", "input", "output", "peer")},
    **{name: Fault[name.upper()] for name in ("communicator", "program", "root", "owners", "chunk", "piece", "last")},
    "op": Fault.OPERATION,
    "pieces": Fault.PIECE,
    "format": Fault.FORMAT,
}
SUBGRAPHS = {1: 2, 2: 0, 3: 5}


def faults(rows):
    """For (descriptor, communicator, program) each what is wrong; the ring is that of partition 3."""
    dut = DescriptorCheck(communicators=COMMUNICATORS, programs=PROGRAMS)
    inputs = [dut.descriptor.as_value(), dut.partition, dut.communicator.as_value(), dut.program.as_value()]
    assert [len(value) for value in inputs] == [Descriptor.size, 8, Communicator.size, Program.size]
    return [Fault(fault) for (fault,) in run(dut, inputs, [dut.fault], rows)]


def row(descriptor, peers, subgraphs):
    return pack(DESCRIPTOR, **descriptor), 3, pack(COMMUNICATOR, **peers), pack(PROGRAM, subgraphs=subgraphs)


def test_one_wrong_field():
    """Each rule holds for the operations that it concerns and no other."""
    cases: list[tuple[int, dict[str, int]]] = []
    cases += [(op, change) for op in DescriptorOp for change, _ in WRONG if "op" not in change]
    cases += [(1, change) for change, _ in WRONG if "op" in change]
    rows, expected = [], []
    for op, change in cases:
        descriptor = {**GOOD, "op": op} | change
        index = descriptor["communicator"]
        rows.append(row(descriptor, PEERS if index in (2, 4) else {}, SUBGRAPHS.get(descriptor["program"], 1)))
        ((field, _),) = change.items()
        wrong = op in {str(c): ops for c, ops in WRONG}[str(change)]
        expected.append(FAULT_OF[field] if wrong else Fault.NONE)
    assert faults(rows) == expected


def test_wrong_communicators():
    rows = [row({**GOOD, "op": op}, {**PEERS, **change}, 2) for op in DescriptorOp for change in BAD_PEERS]
    assert faults(rows) == [
        Fault.COMMUNICATOR if op == DescriptorOp.COLLECTIVE else Fault.NONE for op in DescriptorOp for _ in BAD_PEERS
    ]


def test_the_first_fault_counts():
    """Wrong in one thing and in each that is looked at later."""
    changes = [({"op": 9}, 1), *((change, max(ops)) for change, ops in WRONG if "op" not in change and 1 in ops)]
    changes.sort(key=lambda item: FAULT_OF[next(iter(item[0]))])
    names = [FAULT_OF[next(iter(change))] for change, _ in changes]
    for at, first in enumerate(names):
        later = {**GOOD}
        for change, _ in changes[at:][::-1]:
            later |= change
        if first is Fault.OUTPUT:
            later["output"] = 8
        peers = {} if later["communicator"] in (1, 4) else PEERS
        (found,) = faults([row(later, peers, SUBGRAPHS.get(later["program"], 1))])
        assert found == first, (first, later)


def test_good_ones():
    rows = [row({**GOOD, "op": op}, PEERS, n) for op in DescriptorOp for n in range(1, 5)]
    rows += [row({**GOOD, "format": f}, PEERS, 1) for f in (0, 2, 4, 26)]
    rows += [row({**GOOD, "owners": 0, "last": 0, "chunk": 0, "piece": 0}, PEERS, 1)]
    assert not any(faults(rows))


def test_fuzz_against_golden(seed):
    """Random bits in one to three fields."""
    draw = random.Random(seed)
    directory = [pack(PROGRAM, subgraphs=SUBGRAPHS.get(n, 1)) for n in range(PROGRAMS)]
    rows, expected = [], []
    for _ in range(1500):
        descriptor = {**dict.fromkeys(dict(DESCRIPTOR), 0), **GOOD, "op": draw.choice([0, 1, 1, 1, 2, 3])}
        for name, bits in draw.sample([item for item in DESCRIPTOR if item[0] != "partition"], draw.randrange(4)):
            descriptor[name] = draw.choice([draw.getrandbits(bits), draw.getrandbits(min(bits, 3))])
        known = {2: unpack(COMMUNICATOR, pack(COMMUNICATOR, **PEERS))}
        rows.append(
            row(
                descriptor,
                PEERS if descriptor["communicator"] == 2 else {},
                SUBGRAPHS.get(descriptor["program"], 1),
            )
        )
        expected.append(malformed(descriptor, known, directory))
    assert faults(rows) == expected
    assert 0.2 < sum(map(bool, expected)) / len(expected) < 0.9
    assert set(expected) >= set(Fault) - {Fault.PARTITION, Fault.OPERATION}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"communicators": 0, "programs": 1}, r"^Communicators must be in 1 to 16, not 0$"),
        ({"communicators": 1, "programs": 257}, r"^Programs must be in 1 to 256, not 257$"),
    ],
)
def test_wrong_parameters(parameters, words):
    with pytest.raises(ValueError, match=words):
        DescriptorCheck(**parameters)
