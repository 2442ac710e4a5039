"""The channel behind the device model: data, answers, timing, errors of the memory, refresh.

The device raises at the first violation, the golden checker reads the trace of commands, and every answer
is compared with the golden memory.
"""

import numpy as np
import pytest

from golden import ecc
from golden.hbm_memory import Op, Status
from hdl.hbm.cycles import Cycles
from mtia import hbm
from mtia.hbm_ecc import CHECK_BITS, COLUMNS, DATA_BITS
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.hbm.runner import Requests, issue_cycles

from .channels import HBM3, TINY, Bench, middle_design, mixture, operands, tiny_design, wide_design

pytestmark = pytest.mark.sim

MODES = ["per-bank", "all-bank", "off"]
ALL = (1 << 32) - 1


@pytest.fixture
def make():
    """A function that gives a fresh channel with its device."""
    return lambda **options: Bench(middle_design(), timing=HBM3, **options)


@pytest.fixture
def bench(make):
    return make()


def words(random, count):
    return random.integers(0, 1 << 32, (count, 8), np.uint32)


def random_atoms(bench, random, count):
    """So many different addresses from everywhere in a pseudo-channel."""
    return np.unique(random.integers(0, bench.map.atoms, 2 * count))[:count]


def traffic(bench, random, name, count):
    """Addresses of a port under each name of `TRAFFIC`."""
    banks = bench.timing.organization
    places = {
        "few atoms": lambda: random.choice(random_atoms(bench, random, 3), count),
        "some atoms": lambda: random.choice(random_atoms(bench, random, 40), count),
        "anywhere": lambda: random.integers(0, bench.map.atoms, count),
        "hot row": lambda: bench.address(row=5, bank=1, column=random.integers(0, banks.columns, count)),
        "bank conflicts": lambda: bench.address(row=random.integers(0, 16, count)),
        "two banks": lambda: bench.address(row=random.integers(0, 3, count), bank_group=random.integers(0, 2, count)),
        "one group": lambda: bench.address(
            row=random.integers(0, 2, count),
            bank=random.integers(0, banks.banks_per_group, count),
            column=random.integers(0, 8, count),
        ),
    }
    return places[name]()


TRAFFIC = ["few atoms", "some atoms", "anywhere", "hot row", "bank conflicts", "two banks", "one group"]


@pytest.mark.parametrize("name", TRAFFIC)
@pytest.mark.parametrize("refresh", MODES)
def test_interleavings(make, name, refresh, seed, tmp_path):
    """All kinds of requests at once on both ports; data, order, trace and what is stored at the end."""
    bench, random = make(refresh=refresh), np.random.default_rng(seed)
    bench.device.trace(tmp_path / "commands.csv")
    count = 768
    addresses = [traffic(bench, random, name, count) for _ in range(2)]
    bench.run([mixture(random, each) for each in addresses])
    bench.settle()
    for pc, each in enumerate(addresses):
        bench.compare_stored(each, pc)
    report = bench.traced(tmp_path / "commands.csv")
    assert report.violations == []
    assert report.commands["RD"] > count
    assert report.commands["WR"] > count // 4


@pytest.mark.parametrize("refresh", MODES)
def test_ten_thousand(make, refresh, seed, tmp_path):
    """Reads and whole writes, at a load that changes, over all addresses and rows that are met again."""
    bench, random = make(refresh=refresh), np.random.default_rng(seed)
    bench.device.trace(tmp_path / "commands.csv")
    ports = []
    for _ in range(2):
        near = bench.address(row=random.integers(0, 4, 2500), column=random.integers(0, 32, 2500), sid=1)
        addresses = random.permutation(np.r_[random.integers(0, bench.map.atoms, 2500), near])
        cycle = issue_cycles(len(addresses), load=0.3 if refresh == "off" else 1, seed=seed)
        ports.append(mixture(random, addresses, reads=0.6, writes=0.4, masked=0, cycle=cycle))
    bench.run(ports)
    report = bench.traced(tmp_path / "commands.csv")
    assert report.violations == []
    assert report.commands["RD"] + report.commands["WR"] == 10000
    refreshes = {"per-bank": "REFPB", "all-bank": "REFAB", "off": None}[refresh]
    assert {name for name in ("REFPB", "REFAB") if report.commands[name]} == {refreshes} - {None}


@pytest.mark.parametrize(
    "pauses",
    [
        {"response_0": 0.9, "response_1": 0.5},
        {"request_0": 0.9, "request_1": 0.3, "response_0": 0.3},
        {"request_0": 0.5, "response_0": 0.97, "request_1": 0.5, "response_1": 0.97},
    ],
)
def test_back_pressure(make, pauses, seed, tmp_path):
    """Answers that are not taken stop nothing for ever, nothing is lost; the lane watches the rules of streams."""
    bench, random = make(), np.random.default_rng(seed)
    bench.device.trace(tmp_path / "commands.csv")
    atoms = random_atoms(bench, random, 30)
    bench.run([mixture(random, random.choice(atoms, 400), reads=0.7) for _ in range(2)], pauses=pauses, seed=seed)
    assert bench.traced(tmp_path / "commands.csv").violations == []


@pytest.mark.parametrize("op", [Op.RD, Op.WR, Op.RED])
def test_full_queues(bench, op, seed):
    """Rows of one bank: the pools fill up and the port waits, until one after the other is done."""
    random = np.random.default_rng(seed)
    count = 250
    address = bench.address(row=np.arange(count) * 7 % bench.timing.organization.rows)
    requests = Requests(op=op, address=address, data=words(random, count), kind=ReduceKind.SUM)
    ports = bench.run([requests, requests])[0].ports
    for port in ports:
        assert port.accepted[-1] - port.accepted[0] > 2 * count  # not one a cycle: the port was not ready
        assert (np.diff(port.accepted) > 0).all()
    bench.settle(20000)
    for pc in range(2):
        bench.compare_stored(address, pc)


@pytest.mark.parametrize("pc", [0, 1])
def test_unloaded_latency(bench, pc):
    """A read of a closed row takes RCDRD, CL, BL and 6 cycles from its acceptance; of an open one no RCDRD."""
    cycles = Cycles.of(bench.timing, pc=pc)
    requests = Requests(op=Op.RD, address=bench.address(column=[0, 9], bank=1, row=3), cycle=[10, 100])
    ports = [requests if each == pc else None for each in range(2)]
    closed, opened = bench.run(ports)[0].ports[pc].service.tolist()
    assert closed == cycles.rcd_read + cycles.read_latency + 6
    assert opened == cycles.read_latency + 6
    assert closed - cycles.rcd_read - cycles.read_latency <= 8


def test_latency_of_writes(bench):
    """A write is answered when it is ordered, long before its row is open."""
    requests = Requests(op=Op.WR, address=bench.address(bank=[0, 1], row=3), cycle=[10, 200])
    for port in bench.run([requests, requests])[0].ports:
        assert (port.service <= 4).all()


def test_one_atom_a_cycle(make):
    """Without refresh a stream of reads, and one of writes, has a column command nearly every cycle."""
    for op in (Op.RD, Op.WR):
        bench = make(refresh="off")
        stream = Requests(op=op, address=np.arange(256))
        for port in bench.run([stream, stream])[0].ports:
            times = port.answered if op == Op.RD else port.accepted
            assert len(times) / (np.ptp(times) + 1) > 0.9


def test_reads_pass_each_other(bench):
    """Hits go before misses of older reads: answers come out of order, each with its own tag."""
    far = bench.address(row=[1, 2, 3, 4, 5, 6])
    near = bench.address(bank=1, column=np.arange(32))
    address = np.r_[far, near]
    port = bench.run([Requests(op=Op.RD, address=address), None])[0].ports[0]
    assert port.answered[5] > port.answered[-1]
    assert (np.diff(port.answered[6:]) > 0).all()


def test_read_after_write_and_reduction(bench, seed):
    """One atom: each read sees all that was accepted before it, nothing that came after."""
    random = np.random.default_rng(seed)
    op = np.tile([Op.WR, Op.RD, Op.RED, Op.RED, Op.RD, Op.WR, Op.WR, Op.RD], 25)
    requests = Requests(
        op=op,
        address=np.full(len(op), 12345),
        data=operands(random, len(op)),
        kind=ReduceKind.SUM,
        mask=np.where(np.arange(len(op)) % 8 == 6, 0x00FF0FF0, ALL),
    )
    bench.run([requests, requests])


@pytest.mark.parametrize("refresh", ["per-bank", "all-bank"])
def test_refresh_of_a_busy_bank(make, refresh, seed, tmp_path):
    """A bank that always has work is refreshed in time all the same (the device counts what it is owed)."""
    bench, random = make(refresh=refresh), np.random.default_rng(seed)
    bench.device.trace(tmp_path / "commands.csv")
    span = 12 * bench.timing["REFI"] // 2
    count = span // 40
    address = bench.address(row=random.integers(0, 2, count), column=random.integers(0, 32, count))
    for start in range(0, count, bench.turn):
        cycle = issue_cycles(min(bench.turn, count - start), load=1 / 20)
        bench.run([mixture(random, address[start : start + bench.turn], cycle=cycle), None])
    report = bench.traced(tmp_path / "commands.csv")
    assert report.violations == []
    owed = report.refresh[0, 0]
    assert owed.max() <= bench.timing.refresh_postpone
    refreshes = "REFPB" if refresh == "per-bank" else "REFAB"
    assert report.commands[refreshes] >= 2 * (report.end // bench.timing["REFI"] - bench.timing.refresh_postpone)


def test_refresh_blocks_its_own_bank_alone(make, seed, tmp_path):
    """While a bank is refreshed the others go on: columns are read during most of all refreshes."""
    bench, random = make(), np.random.default_rng(seed)
    path = tmp_path / "commands.csv"
    bench.device.trace(path)
    address = random.integers(0, bench.map.atoms, 8 * bench.turn)
    bench.run([Requests(op=Op.RD, address=address), None])
    bench.device.trace(None)
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    reads = np.array([int(row[0]) for row in rows if row[3] == "RD"])
    refreshes = [int(row[0]) for row in rows if row[3] == "REFPB" and row[2] == "0" and int(row[0]) < reads[-1] - 320]
    assert len(refreshes) > 20
    during = [((reads > ck) & (reads < ck + bench.timing["RFCPB"])).sum() for ck in refreshes]
    assert np.mean(np.array(during) > 5) > 0.8


def test_idle_channel_is_refreshed(make, tmp_path):
    """Without a request every bank is refreshed once each REFI, none is owed more than one."""
    bench = make()
    bench.device.trace(tmp_path / "commands.csv")
    periods = 6
    bench.hbm.lane.run(cycles=periods * bench.timing["REFI"] // 2)
    report = bench.traced(tmp_path / "commands.csv")
    assert report.violations == []
    assert abs(report.commands["REFPB"] - 2 * periods * bench.timing.organization.banks) <= 4
    assert all((owed <= 1).all() for owed in report.refresh.values())


@pytest.mark.long
@pytest.mark.parametrize("refresh", ["per-bank", "all-bank"])
def test_refresh_does_not_drift(make, refresh):
    """Some milliseconds without a request: never too many refreshes ahead, nor owed (the device counts)."""
    bench = make(refresh=refresh)
    bench.hbm.lane.run(cycles=8_000_000)
    row = bench.device.counts()[0]
    due = 16_000_000 // bench.timing["REFI"]
    done = row["REFPB"] / bench.timing.organization.banks if refresh == "per-bank" else row["REFAB"]
    assert abs(done - due) <= 2


@pytest.mark.long
@pytest.mark.parametrize("refresh", ["per-bank", "all-bank"])
@pytest.mark.parametrize("name", hbm.names())
def test_a_million_commands(name, refresh, seed, tmp_path):
    """Each timing set with its own controller: random requests until 10**6 commands, none of which breaks a rule."""
    timing, random = hbm.get(name), np.random.default_rng(seed)
    bench = Bench(wide_design(timing), timing=timing, refresh=refresh)
    bench.device.trace(tmp_path / "commands.csv")
    turn = 0
    while sum(sum(row.values()) for row in bench.device.counts()) < 1_000_000:
        kind = TRAFFIC[turn % len(TRAFFIC)]
        bench.run([mixture(random, traffic(bench, random, kind, 4096)) for _ in range(2)])
        turn += 1
    assert bench.traced(tmp_path / "commands.csv").violations == []


def check_bits(data):
    """Check bits of atoms uint32 (n, 8)."""
    return ecc.encode(np.ascontiguousarray(data, "<u4").view(np.uint8))


def read(bench, address):
    """Status and data uint32 (n, 8) of reads on port 0."""
    results = bench.run([Requests(op=Op.RD, address=address), None], check=False)
    ports = [result.ports[0] for result in results]
    return np.concatenate([port.status for port in ports]), np.concatenate([port.data for port in ports])


def store(bench, address, random):
    """Random data at addresses by back door, also in the golden memory: uint32 (n, 8)."""
    data = words(random, len(address))
    bench.device.write(bench.key(address), data)
    bench.memories[0].write(address, np.ascontiguousarray(data, "<u4").view(np.uint8))
    return data


def test_single_errors(bench, seed):
    """Every position of the word: corrected, told, and written back right."""
    random = np.random.default_rng(seed)
    address = random.permutation(random_atoms(bench, random, DATA_BITS + CHECK_BITS))
    data = store(bench, address, random)
    for bit, key in enumerate(bench.key(address).tolist()):
        bench.device.inject(key, bit=bit, kind="upset")
    status, found = read(bench, address)
    assert (status == Status.CORRECTED).all()
    np.testing.assert_array_equal(found, data)
    bench.settle()
    status, found = read(bench, address)
    first = status == Status.CORRECTED  # what came while others were written back is corrected later
    assert first.mean() < 0.8
    for _ in range(4):
        bench.settle()
        status, found = read(bench, address)
    np.testing.assert_array_equal(found, data)


def test_scrub(bench, seed):
    """Corrected words are stored right again: by back door the data and the check bits are clean."""
    random = np.random.default_rng(seed)
    address = random_atoms(bench, random, 24)
    data = store(bench, address, random)
    keys = bench.key(address)
    for bit, key in zip(random.permutation(len(COLUMNS)).tolist(), keys.tolist(), strict=False):
        bench.device.inject(key, bit=bit, kind="upset")
    for each in address:
        status, _ = read(bench, [each])
        assert status.tolist() == [Status.CORRECTED]
        bench.settle(500)
    stored, check = bench.device.read(keys)
    np.testing.assert_array_equal(stored, data)
    np.testing.assert_array_equal(check, check_bits(data))
    status, _ = read(bench, address)
    assert (status == Status.OK).all()


def test_double_errors(bench, seed):
    """Two wrong bits: reported, other words not touched, nothing written back."""
    random = np.random.default_rng(seed)
    address = random_atoms(bench, random, 200)
    data = store(bench, address, random)
    wrong = np.arange(len(address)) % 2 == 0
    flips = np.zeros((len(address), len(COLUMNS)), np.uint8)
    for index in np.flatnonzero(wrong):
        flips[index, random.choice(len(COLUMNS), 2, replace=False)] = 1
    stored = data ^ np.packbits(flips[:, :DATA_BITS], axis=1, bitorder="little").view("<u4")
    check = check_bits(data) ^ (flips[:, DATA_BITS:] @ (1 << np.arange(CHECK_BITS))).astype(np.uint16)
    bench.device.write(bench.key(address), stored, check)
    status, found = read(bench, address)
    np.testing.assert_array_equal(status, np.where(wrong, Status.UNCORRECTABLE, Status.OK))
    np.testing.assert_array_equal(found[~wrong], data[~wrong])
    bench.settle()
    for was, now in zip((stored, check), bench.device.read(bench.key(address)), strict=True):
        np.testing.assert_array_equal(now, was)


@pytest.mark.parametrize("op", ["masked write", "reduction", "copy"])
def test_lost_words_become_poison(bench, op, seed):
    """A change to a word that cannot be read leaves poison, not fresh check bits; a whole write heals it."""
    random = np.random.default_rng(seed)
    address = random_atoms(bench, random, 60)
    store(bench, address, random)
    for key in bench.key(address).tolist():
        for bit in random.choice(len(COLUMNS), 2, replace=False).tolist():
            bench.device.inject(key, bit=bit, kind="upset")
    changes = {
        "masked write": Requests(op=Op.WR, address=address, data=words(random, 60), mask=0x0000FFFF),
        "reduction": Requests(op=Op.RED, address=address, data=words(random, 60), kind=ReduceKind.SUM),
        "copy": Requests(op=Op.RED, address=address, data=words(random, 60), kind=ReduceKind.COPY),
    }
    result = bench.run([changes[op], None], check=False)[0]
    assert (result.ports[0].status == Status.OK).all()  # ordered; what it met is told to reads
    bench.settle()
    status, _ = read(bench, address)
    assert (status == Status.POISON).all()
    bench.run([changes["reduction"], None], check=False)  # again: still poison
    status, _ = read(bench, address)
    assert (status == Status.POISON).all()
    fresh = words(random, 60)
    bench.run([Requests(op=Op.WR, address=address, data=fresh), None], check=False)
    status, found = read(bench, address)
    assert (status == Status.OK).all()
    np.testing.assert_array_equal(found, fresh)


def test_poison_with_a_wrong_bit_is_no_data(bench, seed):
    """Any bit of a poisoned word flipped: not correctable, and poison again when it is changed."""
    random = np.random.default_rng(seed)
    address = random_atoms(bench, random, len(COLUMNS))
    data = words(random, len(address))
    poison = ecc.encode(np.ascontiguousarray(data, "<u4").view(np.uint8), poison=True)
    bench.device.write(bench.key(address), data, poison)
    status, _ = read(bench, address)
    assert (status == Status.POISON).all()
    for bit, key in enumerate(bench.key(address).tolist()):
        bench.device.inject(key, bit=bit, kind="upset")
    status, _ = read(bench, address)
    assert (status == Status.UNCORRECTABLE).all()
    bench.run([Requests(op=Op.RED, address=address, kind=ReduceKind.MAX), None], check=False)
    status, _ = read(bench, address)
    assert (status == Status.POISON).all()


def test_corrected_words_are_changed_right(bench, seed):
    """Reductions and masked writes on words with a wrong bit work on what was meant."""
    random = np.random.default_rng(seed)
    address = random_atoms(bench, random, 100)
    store(bench, address, random)
    for key in bench.key(address).tolist():
        bench.device.inject(key, bit=int(random.integers(len(COLUMNS))), kind="upset")
    changed = mixture(random, address, reads=0, writes=0, masked=0.5)
    bench.run([changed, None])
    bench.run([Requests(op=Op.RD, address=address), None])  # all clean: written back with the change
    bench.settle()
    bench.compare_stored(address)


def test_transient_and_stuck_bits(bench, seed):
    """A bit that is wrong once is corrected once; a stuck one every time that the word has the other value."""
    random = np.random.default_rng(seed)
    address = random_atoms(bench, random, 2)
    data = store(bench, address, random)
    once, stuck = bench.key(address).tolist()
    bench.device.inject(once, bit=77, kind="transient", once=True)
    value = int(data[1, 0] & 1)
    bench.device.inject(stuck, bit=0, kind="stuck", value=1 - value)
    for turn in range(3):
        status, found = read(bench, address)
        assert status.tolist() == [Status.OK if turn else Status.CORRECTED, Status.CORRECTED]
        np.testing.assert_array_equal(found, data)
        bench.settle(500)
    data[1, 0] ^= 1
    bench.run([Requests(op=Op.WR, address=address, data=data), None], check=False)
    assert read(bench, address)[0].tolist() == [Status.OK, Status.OK]


def test_errors_in_traffic(bench, seed):
    """Single errors everywhere, now and then, under all kinds of requests: the data is that of the golden memory."""
    random = np.random.default_rng(seed)
    atoms = random_atoms(bench, random, 50)
    for _ in range(3):
        for key in np.unique(random.choice(bench.key(atoms), 10)).tolist():
            bench.device.inject(key, bit=int(random.integers(len(COLUMNS))), kind="upset")
        requests = mixture(random, random.choice(atoms, 250))
        port = bench.run([requests, None], check=False)[0].ports[0]
        _, data = bench.expected(requests)
        assert set(port.status.tolist()) <= {Status.OK, Status.CORRECTED}
        reads = requests.fields["op"] == Op.RD
        np.testing.assert_array_equal(np.ascontiguousarray(port.data, "<u4").view(np.uint8)[reads], data[reads])
        # no two errors in one word: write all of them
        bench.settle()
        fresh = words(random, len(atoms))
        bench.run([Requests(op=Op.WR, address=atoms, data=fresh), None])
        bench.settle()


@pytest.mark.parametrize("op", [Op.RD, Op.WR, Op.RED])
def test_idle(bench, op):
    """Low from a request's acceptance until its last command, the answer of a read included."""
    lane = bench.hbm.lane
    bench.run([Requests(op=op, address=[7], kind=ReduceKind.SUM, data=words(np.random.default_rng(1), 1)), None])
    before = bench.device.counts()[0]
    assert before["RD"] == (op != Op.WR)
    assert before["WR"] == (op != Op.RD)
    assert lane.get("idle")
    lane.run(cycles=400, record=True)
    after = bench.device.counts()[0]
    assert (after["RD"], after["WR"]) == (before["RD"], before["WR"])


def test_idle_after_a_corrected_read(bench):
    """The channel is not idle while the corrected atom waits to be written back: its write is the last command."""
    bench.device.inject(int(bench.key([7])[0]), bit=3, kind="upset")
    bench.run([Requests(op=Op.RD, address=[7]), None], check=False)
    counts = bench.device.counts()[0]
    assert (counts["RD"], counts["WR"]) == (2, 1)


def test_not_idle_while_an_answer_is_on_its_way(bench):
    """From the acceptance of a read until its answer has left."""
    lane = bench.hbm.lane
    bench.hbm._push(0, Requests(op=Op.RD, address=[7]), lane.cycles)
    seen = []
    while not lane.waiting("response_0"):
        lane.run(cycles=1)
        seen.append(lane.get("idle"))
    assert len(seen) > 20
    assert not any(seen[:-1])


def test_addresses_without_a_place(seed, tmp_path):
    """3 SIDs of 24 rows: addresses past the end are answered with ADDRESS and change nothing."""
    bench, random = Bench(tiny_design(), timing=TINY), np.random.default_rng(seed)
    bench.device.trace(tmp_path / "commands.csv")
    inside = random.integers(0, bench.map.atoms, 500)
    beyond = random.integers(bench.map.atoms, 1 << bench.map.address_bits, 100)
    beyond[:2] = bench.map.atoms, (1 << bench.map.address_bits) - 1
    address = random.permutation(np.r_[inside, beyond])
    results = bench.run([mixture(random, address), mixture(random, address[::-1])])
    status = np.concatenate([result.ports[0].status for result in results])
    np.testing.assert_array_equal(status == Status.ADDRESS, address >= bench.map.atoms)
    bench.settle()
    for pc in range(2):
        bench.compare_stored(inside, pc)
    assert bench.traced(tmp_path / "commands.csv").violations == []


def test_reductions_of_every_format(bench, seed):
    """Every kind and format, on a few atoms at once: combined in the lines or not, the bits are the same."""
    random = np.random.default_rng(seed)
    pairs = [(kind, format) for kind in ReduceKind for format in ReduceFormat]
    atoms = random_atoms(bench, random, len(pairs))
    order = random.permutation(np.repeat(np.arange(len(pairs)), 5))
    requests = Requests(
        op=Op.RED,
        address=atoms[order],
        data=operands(random, len(order)),
        kind=np.array([int(kind) for kind, _ in pairs])[order],
        format=np.array([int(format) for _, format in pairs])[order],
    )
    bench.run([requests, requests])
    bench.run([Requests(op=Op.RD, address=atoms)] * 2)
