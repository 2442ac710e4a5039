"""Running requests through a controller: cycles, order of answers, what is measured, what is refused."""

import numpy as np
import pytest

from golden.hbm_memory import atom_number, default_words
from mtia import hbm
from tb.hbm.runner import HbmRun, Requests, issue_cycles
from tb.lane import SimulationError

from .hbm_simple import WAIT, Simple

HBM3 = hbm.get("HBM3-6.4")


def fields_of(address, pc):
    """The place of an address of ``Simple``."""
    address = np.asarray(address)
    widths = {"column": 5, "bank": 2, "bank_group": 2, "sid": 1, "row": 14}
    place = {}
    for name, width in widths.items():
        place[name] = address & (1 << width) - 1
        address = address >> width
    return {**place, "pc": np.full(len(address), pc)}


@pytest.fixture
def run():
    return HbmRun(Simple(), timing=HBM3, refresh="off")


@pytest.mark.sim
def test_data_and_order(run, seed):
    random = np.random.default_rng(seed)
    words = random.integers(0, 1 << 32, (40, 8), np.uint32)
    address = random.permutation(1 << 24)[:40]
    run.run([Requests(op=1, address=address, data=words), None])
    stored, _ = run.device.read(run.device.key(**fields_of(address, 0)))
    np.testing.assert_array_equal(stored, words)
    order = random.permutation(40)
    late = np.where(np.arange(40) % 7 == 0, 1, 0)
    result = run.run([Requests(op=0, address=address[order], kind=late), Requests(op=0, address=address[:5])])
    np.testing.assert_array_equal(result.ports[0].data, words[order])
    fresh = default_words(atom_number(fields_of(address[:5], 1), HBM3.organization))
    np.testing.assert_array_equal(result.ports[1].data, fresh)
    answered = result.ports[0].answered
    assert (answered[late == 1] > answered[np.flatnonzero(late) + 1]).all()
    assert [row["RD"] for row in result.commands] == [40, 5]
    assert [row["WR"] for row in result.commands] == [0, 0]


@pytest.mark.sim
def test_cycles(run):
    """A request takes the same cycles from its acceptance; the next one waits for it; a late one is on time."""
    for _ in range(2):  # from a reset, and from where the first run ended
        result = run.run([Requests(op=0, address=[1, 2, 3], cycle=[0, 5, 1000]), None])
        port = result.ports[0]
        assert port.issued.tolist() == [0, 5, 1000]
        least = 3 * WAIT
        assert (port.service > least).all()
        assert (port.service < least + 10).all()
        assert port.accepted[0] in (0, 1)
        assert port.accepted[1] - port.answered[0] in (1, 2)
        assert port.accepted[2] in (1000, 1001)
        np.testing.assert_array_equal(port.latency, port.service + port.accepted - port.issued)
        assert result.cycles >= port.answered[2] + 1
        assert result.bandwidth_fraction() == 3 / result.cycles
        assert result.column_fraction() == 3 / result.cycles
        assert result.nanoseconds(8) == 16 * HBM3.tck_ns
        assert result.ports[1].latency.tolist() == []


@pytest.mark.sim
def test_bandwidth_between(run):
    result = run.run([Requests(op=0, address=np.arange(50)), Requests(op=1, address=np.arange(50))])
    middle = result.bandwidth_fraction(skip=0.2)
    assert middle == pytest.approx(result.bandwidth_fraction(), rel=0.1)
    with pytest.raises(ValueError, match=r"Skip must be from 0 to below 0\.5, not 0\.5"):
        result.bandwidth_fraction(skip=0.5)


@pytest.mark.sim
def test_pauses(run, seed):
    requests = Requests(op=0, address=np.arange(30))
    quick = run.run([requests, requests])
    slow = run.run([requests, requests], pauses={"response_0": 0.9, "request_1": 0.9}, seed=seed)
    assert slow.cycles > quick.cycles
    for port in range(2):
        np.testing.assert_array_equal(slow.ports[port].data, quick.ports[port].data)


@pytest.mark.sim
def test_violation_ends_the_run():
    strict = HbmRun(Simple(), timing=HBM3.with_parameters(RC=150, RAS=140), refresh="off")
    with pytest.raises(SimulationError, match=r"PRE of .* breaks RAS \(ACT to PRE\)"):
        strict.run([Requests(op=0, address=[1]), None])
    lenient = HbmRun(Simple(), timing=HBM3.with_parameters(RC=150, RAS=140), refresh="off", strict=False)
    lenient.run([Requests(op=0, address=[1]), None])
    assert [each.rule for each in lenient.device.violations()] == ["RAS"]


@pytest.mark.sim
def test_narrow_tags():
    run = HbmRun(Simple(tag_bits=1), timing=HBM3, refresh="off")
    run.run([Requests(op=0, address=[1, 2, 3, 4]), None])
    with pytest.raises(SimulationError, match="must have wider tags: one of 2 came again before its answer"):
        run.run([Requests(op=0, address=[1, 2, 3, 4], kind=[1, 0, 0, 0]), None])


@pytest.mark.sim
def test_never_answered(run):
    """A late answer waits for two more requests, which do not come."""
    with pytest.raises(SimulationError, match="stalled"):
        run.run([Requests(op=0, address=[1], kind=1), None], stall_cycles=500)
    run.reset()
    assert run.run([Requests(op=0, address=[1]), None]).ports[0].status.tolist() == [0]


@pytest.mark.sim
def test_ports_wrong(run):
    with pytest.raises(ValueError, match="Requests must be given for 2 ports, not 1"):
        run.run([None])


def test_requests():
    requests = Requests(op=0, address=[1, 2, 3], data=np.ones((3, 8), np.uint32), cycle=np.arange(3))
    assert len(requests) == 3
    assert requests.fields["op"].tolist() == [0, 0, 0]
    assert requests.fields["mask"].tolist() == [0xFFFFFFFF] * 3
    with pytest.raises(ValueError, match=r"Requests must have fields of one length, not \[1, 2, 3\]"):
        Requests(op=0, address=[1, 2, 3], kind=[0, 1])


def test_issue_cycles(seed):
    assert issue_cycles(5, load=1).tolist() == [0, 1, 2, 3, 4]
    assert issue_cycles(5, load=0.5).tolist() == [0, 2, 4, 6, 8]
    random = issue_cycles(10000, load=0.75, seed=seed)
    assert (np.diff(random) > 0).all()
    assert random[-1] == pytest.approx(10000 / 0.75, rel=0.05)
    for load in (0, 1.5):
        with pytest.raises(ValueError, match="Load must be above 0 and at most 1, not"):
            issue_cycles(5, load=load)
