# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Sums of 32 signed terms against Python integers."""

import random

import pytest

from hdl.tensor.shape import LANES
from hdl.tensor.signed_sum import SignedSum
from tests.hdl.pysim import run

#: (near, far): of dense rows, one bit, no lower part, a lower part shorter and longer than the upper one
WIDTHS = [(8, 0), (1, 0), (36, 0), (36, 1), (36, 28), (5, 9)]


def terms_of(generator, width):
    """32 signed integers of `width` bits of magnitude, of several kinds."""
    top = (1 << width) - 1
    kind = generator.randrange(6)
    if kind == 0:  # nothing cancels, and all the bits are used
        return [top] * LANES if generator.random() < 0.5 else [-top] * LANES
    if kind == 1:  # all cancels but one unit, or all
        half = [generator.randint(0, top) for _ in range(15)]
        rest = generator.choice([(0, 0), (1, 0), (0, -1), (top, -top), (top, 1 - top)])
        terms = [*half, *(-term for term in half), *rest]
        generator.shuffle(terms)
        return terms
    if kind == 2:  # a single term
        terms = [0] * LANES
        terms[generator.randrange(LANES)] = generator.choice([1, -1, top, -top])
        return terms
    return [generator.randint(-top, top) >> generator.randrange(width) for _ in range(LANES)]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("near", "far"), WIDTHS)
def test_sums(near, far, deep, seed):
    """The magnitude has the 5 bits by which 32 terms may grow; a negative term of zero is zero."""
    generator = random.Random(seed)
    dut = SignedSum(near=near, far=far, deep=deep)
    assert dut.latency == SignedSum.latency_of(far=far, deep=deep) == 4 + bool(far) + deep
    mask = (1 << near + far) - 1
    vectors, expected = [], []
    for _ in range(400):
        terms = terms_of(generator, near + far)
        signs = [term < 0 or (term == 0 and generator.random() < 0.5) for term in terms]
        codes = [abs(term) ^ (mask if sign else 0) for term, sign in zip(terms, signs, strict=True)]
        vectors.append([*(code >> far for code in codes), *([code & (1 << far) - 1 for code in codes] if far else [])])
        vectors[-1].append(sum(sign << lane for lane, sign in enumerate(signs)))
        expected.append((sum(terms) < 0, abs(sum(terms))))
    ports = [*dut.terms_near, *(dut.terms_far if far else []), dut.sign]
    assert run(dut, ports, [dut.negative, dut.magnitude], vectors, latency=dut.latency) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"near": 0, "far": 0}, r"^Near width must be at least 1, not 0$"),
        ({"near": 8, "far": -1}, r"^Far width must be at least 0, not -1$"),
    ],
)
def test_widths_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        SignedSum(**arguments)
