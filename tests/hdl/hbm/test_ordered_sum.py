# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""The ordered mode against golden's tree, bit for bit; its latency and rate; any order of arrival."""

import numpy as np
import pytest

from golden import near_memory as golden
from hdl.hbm.ordered_control import OrderedControl
from hdl.hbm.ordered_lane import OrderedLane
from hdl.hbm.ordered_sum import OrderedSum
from mtia.near_memory import ATOM_BYTES, SCALE_BYTE, ReduceFormat, ReduceKind
from tb.lane import Lane

SLOTS = 128
TOKEN_BITS = 12
KINDS = [ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN]
#: an atom of p slots has one element here: kind, format, slots (p, 32)
Atom = tuple[ReduceKind, ReduceFormat, np.ndarray]


@pytest.fixture(scope="module")
def dut():
    return Lane(OrderedSum(slots=SLOTS, token_bits=TOKEN_BITS), name="ordered_sum")


def random_slots(generator, format, count):
    """Operands of which most are finite, of like size and of either sign, so that the order of a sum shows."""
    element = format.memory
    if format.operand is not None:
        slots = generator.integers(0, 256, (count, ATOM_BYTES), np.uint8)
        slots[:, SCALE_BYTE] = generator.integers(118, 130, count)
        return slots
    low, high = (8, 24) if element.exponent_bits == 5 else (118, 134)
    code = generator.integers(low, high, (count, format.lanes)) << element.mantissa_bits
    code |= generator.integers(0, 1 << element.mantissa_bits, code.shape)
    code |= generator.integers(0, 2, code.shape) << element.width - 1
    rare = generator.integers(0, 1 << element.width, code.shape)
    code = np.where(generator.random(code.shape) < 0.002, rare, code)
    return code.astype(f"<u{element.width // 8}").view(np.uint8)


def push(dut, atoms):
    sizes = [len(slots) for _, _, slots in atoms]
    last = np.zeros(sum(sizes), np.uint8)
    last[np.cumsum(sizes) - 1] = 1
    dut.push(
        "i",
        {
            "kind": np.repeat([kind for kind, _, _ in atoms], sizes).astype(np.uint8),
            "format": np.repeat([format for _, format, _ in atoms], sizes).astype(np.uint8),
            "last": last,
            "token": np.repeat(np.arange(len(atoms)), sizes),
            "data": np.concatenate([slots for _, _, slots in atoms]).view("<u4"),
        },
    )


def run(dut, atoms, **options):
    """Results in the order of the atoms, and the cycles of the run."""
    dut.reset()
    push(dut, atoms)
    cycles = dut.run({"o": len(atoms)}, **options)
    found = dut.pull_fields("o")
    order = np.argsort(found["token"])
    np.testing.assert_array_equal(found["token"][order], np.arange(len(atoms)))
    return np.ascontiguousarray(found["result"][order], "<u4").view(np.uint8), cycles


def expected(atoms):
    return np.concatenate([golden.tree(kind, format, slots[:, None]) for kind, format, slots in atoms])


def check(dut, atoms, **options):
    got, cycles = run(dut, atoms, **options)
    wrong = np.nonzero((got != expected(atoms)).any(axis=1))[0]
    described = [(kind.name, format.name, len(slots)) for kind, format, slots in (atoms[index] for index in wrong)]
    assert not described, f"{len(described)} of {len(atoms)} differ: {described[:5]}"
    return cycles


@pytest.mark.sim
@pytest.mark.parametrize("format", ReduceFormat, ids=lambda item: item.name)
def test_every_number_of_slots(dut, format, seed):
    """1 to 72, and around the powers of two up to the most."""
    generator = np.random.default_rng(seed)
    sizes = [*range(1, 73), 95, 96, 97, 127, 128]
    check(dut, [(kind, format, random_slots(generator, format, p)) for p in sizes for kind in KINDS])


@pytest.mark.sim
@pytest.mark.parametrize("pauses", [{}, {"i": 0.3}, {"o": 0.5}, {"i": 0.5, "o": 0.9}])
def test_mixed_atoms_under_pauses(dut, pauses, seed):
    """Sizes, kinds and formats in turn, so that atoms overtake each other; results late and slots late."""
    generator = np.random.default_rng(seed)
    sizes = np.where(generator.random(800) < 0.6, generator.integers(1, 9, 800), generator.integers(1, 129, 800))
    atoms = [(generator.choice(KINDS), ReduceFormat(generator.choice(list(ReduceFormat))), int(size)) for size in sizes]
    check(
        dut,
        [(ReduceKind(kind), format, random_slots(generator, format, size)) for kind, format, size in atoms],
        pauses=pauses,
        seed=seed,
    )


@pytest.mark.sim
def test_results_that_are_not_taken_hold_slots_back(dut, seed):
    """Atoms of a few slots come faster than their results leave, and none is lost."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 6, 400).tolist()
    atoms = [(ReduceKind.SUM, ReduceFormat.FP32, random_slots(generator, ReduceFormat.FP32, size)) for size in sizes]
    assert check(dut, atoms, pauses={"o": 0.95}, seed=seed) > sum(sizes) * 2


@pytest.mark.sim
@pytest.mark.parametrize("format", [ReduceFormat.FP32, ReduceFormat.BF16, ReduceFormat.FP16_MXFP8_E4M3])
def test_any_order_of_arrival(dut, format, seed):
    """Slots that arrive in any order and lie by their index give the same bits; FP32 summed as it arrives does not."""
    generator = np.random.default_rng(seed)
    slots = random_slots(generator, format, 72)
    want = golden.tree_sum(slots[:, None], format)
    atoms: list[Atom] = []
    for arrival in (generator.permutation(72) for _ in range(100)):
        landed = np.empty_like(slots)
        for index in arrival:
            landed[index] = slots[index]
        atoms += [(ReduceKind.SUM, format, landed), (ReduceKind.SUM, format, slots[arrival])]
    got, _ = run(dut, atoms)
    assert (got[::2] == want).all()
    if format is ReduceFormat.FP32:  # sums of the narrow formats are nearly all exact
        assert (got[1::2] != want).any(axis=1).all()


@pytest.mark.sim
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 7, 8, 9, 16, 72, 128])
def test_latency(dut, p, seed):
    atoms = [(ReduceKind.SUM, ReduceFormat.FP32, random_slots(np.random.default_rng(seed), ReduceFormat.FP32, p))]
    dut.reset()
    push(dut, atoms)
    dut.run({"o": 1}, record=True)
    dut.pull("o")
    levels = max(1, (p - 1).bit_length())
    latency = int(dut.transfer_cycles("o")[-1] - dut.transfer_cycles("i")[-1])
    assert latency == 3 + 6 * levels


def steps(p):
    """Pairs of a tree of p slots, and numbers that pass up."""
    count = p == 1
    while p > 1:
        p = (p + 1) // 2
        count += p
    return count


@pytest.mark.sim
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 23, 64, 72, 100, 128])
def test_rate(dut, p, seed):
    generator = np.random.default_rng(seed)
    count = 4000 // p
    atoms = [(ReduceKind.SUM, ReduceFormat.BF16, random_slots(generator, ReduceFormat.BF16, p)) for _ in range(count)]
    cycles = check(dut, atoms)
    assert cycles <= count * max(p, steps(p)) * 1.02 + 60
    assert steps(72) == 74


@pytest.mark.sim
def test_fewer_slots_and_results(seed):
    """The smallest build."""
    generator = np.random.default_rng(seed)
    small = Lane(OrderedSum(slots=2, token_bits=TOKEN_BITS, results=2), name="ordered_sum_2")
    check(
        small,
        [
            (ReduceKind.SUM, ReduceFormat.FP16, random_slots(generator, ReduceFormat.FP16, 1 + n % 2))
            for n in range(200)
        ],
    )


@pytest.mark.parametrize(
    ("build", "parameters", "error", "words"),
    [
        (OrderedSum, {"slots": 1}, ValueError, r"^Slots must be in 2 to 4096, not 1$"),
        (OrderedSum, {"slots": 4097}, ValueError, r"^Slots must be in 2 to 4096, not 4097$"),
        (OrderedSum, {"token_bits": 0}, ValueError, r"^Token bits must be at least 1, not 0$"),
        (OrderedSum, {"results": 1}, ValueError, r"^Results must be at least 2, not 1$"),
        (OrderedSum, {"results": "8"}, TypeError, r"^Results must be an integer, not '8'$"),
        (OrderedLane, {"levels": 0}, ValueError, r"^Levels must be at least 1, not 0$"),
        (OrderedControl, {"levels": 0, "token_bits": 1}, ValueError, r"^Levels must be at least 1, not 0$"),
        (OrderedControl, {"levels": 1, "token_bits": 0}, ValueError, r"^Token bits must be at least 1, not 0$"),
    ],
)
def test_wrong_parameters(build, parameters, error, words):
    with pytest.raises(error, match=words):
        build(**parameters)
