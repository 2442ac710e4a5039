# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Scaling and rounding of group sums against exact fractions."""

import random
from fractions import Fraction

import pytest

from golden.reference import fp32_bits
from hdl.formats.float32 import CANONICAL_NAN
from hdl.tensor.to_float32 import ToFloat32
from tests.hdl.pysim import run

#: widths of an E2M1 engine, of narrow ones, of the 450, and some in between
WIDTHS = [(13, False), (13, True), (20, True), (24, False), (26, False), (41, True), (69, False), (69, True)]
TOP_WEIGHT = 248


def value_of(width, magnitude, negative, exponent, scale=64):
    """The exact value of inputs: the top bit of the magnitude weighs 2**(exponent - 248), the scale is in 1/64."""
    total = Fraction(magnitude) * Fraction(2) ** (exponent - TOP_WEIGHT - (width - 1)) * Fraction(scale, 64)
    return -total if negative else total


@pytest.fixture(params=[False, True], ids=["short", "deep"])
def deep(request):
    return request.param


def check(width, significand, deep, cases):
    """Cases (magnitude, negative, exponent) or with (scaled, scale) behind give the RNE of their exact values."""
    dut = ToFloat32(width=width, significand=significand, deep=deep)
    inputs = [dut.magnitude, dut.negative, dut.exponent]
    if significand:
        inputs += [dut.scaled, dut.scale]
        cases = [case if len(case) == 5 else (*case, 0, 99) for case in cases]
    results = run(dut, inputs, [dut.result], cases, latency=dut.latency)
    for case, (got,) in zip(cases, results, strict=True):
        scale = case[4] if significand and case[3] else 64
        want = fp32_bits(value_of(width, case[0], case[1], case[2], scale))
        assert got == want, f"{case}: {got:#010x}, not {want:#010x}"


def around(generator, exponents):
    """A random one of the exponents, or of a step to either side."""
    return generator.choice(exponents) + generator.randrange(-1, 2)


@pytest.mark.parametrize(("width", "significand"), WIDTHS)
def test_random_sums(width, significand, deep, seed):
    """Of any number of bits at any place, with exponents from where all underflow to where all overflow."""
    generator = random.Random(seed)
    cases = []
    for _ in range(1500):
        magnitude = generator.getrandbits(generator.randint(1, width)) << generator.randrange(width)
        exponent = generator.choice([generator.randrange(0, 1024), generator.randrange(60, 420)])
        cases.append((magnitude & (1 << width) - 1, generator.getrandbits(1), exponent))
    check(width, significand, deep, [(m, s & (m > 0), e) for m, s, e in cases])


@pytest.mark.parametrize(("width", "significand"), WIDTHS)
def test_every_single_bit_at_the_ends_of_the_range(width, significand, deep, seed):
    """Where the result turns subnormal, where it vanishes, where it overflows."""
    ends = [TOP_WEIGHT + power for power in (-151, -150, -149, -148, -127, -126, -125, 126, 127, 128)]
    cases = [(1 << bit, bit & 1, end + width - 1 - bit) for bit in range(width) for end in ends]
    random.Random(seed).shuffle(cases)  # so that no case follows one that hides a wrong latency
    check(width, significand, deep, [case for case in cases if 0 <= case[2] < 1024])


@pytest.mark.parametrize(("width", "significand"), [(26, False), (41, True), (69, False), (69, True)])
def test_ties_and_their_neighbours(width, significand, deep, seed):
    """25 bits whose last is the half, and what the sticky bit must see below them, the last bit of the sum alone."""
    generator = random.Random(seed)
    cases = []
    for _ in range(1200):
        top = generator.choice([0, (1 << 23) - 1, generator.getrandbits(23)]) << 1 | 1 << 24 | 1
        place = generator.randrange(width - 25 + 1)
        below = generator.choice([0, 0, 1, (1 << place) - 1]) if place else 0
        exponent = around(generator, [TOP_WEIGHT, TOP_WEIGHT - 130, TOP_WEIGHT - 148, TOP_WEIGHT + 127])
        cases.append(((top << place) + below, generator.getrandbits(1), exponent + width - 25 - place))
    check(width, significand, deep, cases)


@pytest.mark.parametrize("width", [13, 20, 41, 69])
def test_scales_with_significands(width, deep, seed):
    """The upper 13 bits times the product of two E4M3 significands, in 1/64: zero, subnormal and normal ones."""
    generator = random.Random(seed)
    cases = []
    for _ in range(2000):
        magnitude = generator.getrandbits(generator.randint(0, 13)) << (width - 13)
        scale = generator.randrange(16) * generator.randrange(16)
        exponent = around(generator, [TOP_WEIGHT - 150, TOP_WEIGHT - 126, TOP_WEIGHT, TOP_WEIGHT + 126, 300])
        cases.append((magnitude, generator.getrandbits(1) & (magnitude > 0), exponent, 1, scale))
    results = [case for case in cases if case[0] * case[4]]
    check(width, True, deep, results)
    check(
        width,
        True,
        deep,
        [(0, 0, e, 1, s) for _, _, e, _, s in cases[:50]] + [(m, 0, e, 1, 0) for m, _, e, _, _ in cases[:50]],
    )


@pytest.mark.parametrize("significand", [False, True])
def test_specials(significand, deep):
    """NaN before infinity before what is finite, whatever the sum is."""
    dut = ToFloat32(width=30, significand=significand, deep=deep)
    names = ("nan", "pos_inf", "neg_inf", "negative", "magnitude", "exponent")
    rows = [
        (nan, inf == 1, inf == 2, negative, magnitude, exponent)
        for nan in (0, 1)
        for inf in range(3)
        for negative in (0, 1)
        for magnitude in (0, 1, (1 << 30) - 1)
        for exponent in (0, 248, 1023)
    ]
    results = run(dut, [getattr(dut, name) for name in names], [dut.result], rows, latency=dut.latency)
    for (nan, plus, minus, negative, magnitude, exponent), (got,) in zip(rows, results, strict=True):
        if nan:
            assert got == CANONICAL_NAN
        elif plus or minus:
            assert got == (0xFF800000 if minus else 0x7F800000)
        elif magnitude:
            assert got == fp32_bits(value_of(30, magnitude, negative, exponent))
        else:
            assert got == 0, "a sum of zero is +0"


def test_width_wrong():
    with pytest.raises(ValueError, match=r"^Width must be at least 13, not 12$"):
        ToFloat32(width=12, significand=False)
