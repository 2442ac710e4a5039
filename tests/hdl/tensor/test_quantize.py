# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""The quantiser's bits against exact rationals and the golden model, its speed, its parameters, its streams."""

import functools
import itertools
from fractions import Fraction

import numpy as np
import pytest

from golden.formats import ROUNDINGS
from golden.mx import SCALE_RULES
from hdl.emit import emit
from hdl.formats.code import FormatCode
from hdl.tensor import quantize_shape
from hdl.tensor.quantize import Quantizer
from hdl.tensor.quantize_element import ElementConverter
from hdl.tensor.quantize_shape import Rounding
from mtia.formats import FORMATS, MX_FORMATS
from tb.beats import unpack
from tb.lane import Lane
from tb.runner import run_cocotb
from tb.tensor.quantize_tb import NAN_SCALE, PARAMETERS, Blocks, random_values
from tests.hdl.pysim import simulate

LANES = 32
COMBINATIONS = list(itertools.product(MX_FORMATS, SCALE_RULES, ROUNDINGS))

# Exact rationals: docs/numerics.md, "Quantiser", read literally.


def power(exponent):
    return Fraction(2) ** exponent


def floor_log2(x):
    return (
        x.numerator.bit_length()
        - x.denominator.bit_length()
        - (x < power(x.numerator.bit_length() - x.denominator.bit_length()))
    )


def magnitude(pattern):
    field, fraction = pattern >> 23 & 0xFF, pattern & 0x7FFFFF
    return Fraction(fraction + (0x800000 if field else 0)) * power(max(field, 1) - 150)


@functools.cache
def positive_codes(element):
    """Code of every positive number of the element."""
    codes = {}
    for code in range(element.max_code + 1):
        field, fraction = divmod(code, 1 << element.mantissa_bits)
        if element.is_integer:
            value = Fraction(code)
        elif field:
            value = (fraction + (1 << element.mantissa_bits)) * power(field - element.bias)
        else:
            value = fraction * power(1 - element.bias)
        codes[value * power(-element.mantissa_bits)] = code
    return codes


def exact_exponent(largest, element, rule):
    """The scale's exponent before it is clamped."""
    if rule == "floor":
        return floor_log2(largest) - element.emax
    if rule == "ceil":
        return next(e for e in itertools.count(floor_log2(largest)) if largest <= power(e)) - element.emax
    if rule == "rceil":
        top = Fraction(element.max_value)
        return next(e for e in itertools.count(floor_log2(largest) - element.emax - 1) if largest <= top * power(e))
    place = power(floor_log2(largest) - element.mantissa_bits)
    return floor_log2(int(largest / place + Fraction(1, 2)) * place) - element.emax


def exact_code(pattern, exponent, element, random):
    """Code of an element; `random` is None for RNE."""
    scaled = magnitude(pattern) / power(exponent)
    place = element.emin if element.is_integer or not scaled else max(floor_log2(scaled), element.emin)
    units = scaled / power(place - element.mantissa_bits)
    whole = int(units)
    fraction = units - whole
    if random is None:
        whole += fraction > Fraction(1, 2) or (fraction == Fraction(1, 2) and whole % 2)
    else:
        whole += int(fraction * 65536) + random >= 65536
    value = min(whole * power(place - element.mantissa_bits), Fraction(element.max_value))
    code = positive_codes(element)[value]
    if not pattern >> 31:
        return code
    return -code & 0xFF if element.is_integer else code | 1 << (element.width - 1)


def exact(patterns, fmt, rule, random):
    """Scale code and element codes of a block."""
    element = FORMATS[fmt].element
    if any(pattern >> 23 & 0xFF == 0xFF for pattern in patterns):
        return NAN_SCALE, [0] * len(patterns)
    largest = max(map(magnitude, patterns))
    code = min(max(exact_exponent(largest, element, rule) + 127, 0), 254) if largest else 0
    return code, [exact_code(*pair[:1], code - 127, element, *pair[1:]) for pair in zip(patterns, random, strict=True)]


# Corner blocks: each is led by the value that decides the scale and filled with what is hard beneath it.

#: mantissas around what the rules compare with: powers of two, largest significands, half an element's place below two
THRESHOLDS = (0, 0x400000, 0x600000, 0x700000, 0x780000, 0x7C0000, 0x7E0000, 0x7F0000, 0x800000)
MANTISSAS = sorted({value + step for value in THRESHOLDS for step in (-1, 0, 1) if 0 <= value + step < 1 << 23})
#: exponent fields at both clamps, around the elements' subnormals under the least scale, and in between
FIELDS = (0, 1, 2, 3, 5, 8, 9, 14, 15, 16, 17, 24, 120, 135, 253, 254)


def corner_values(generator):
    """Patterns (n, LANES): every threshold at every exponent, every kind of subnormal, all the specials."""
    leads = [field << 23 | mantissa for field in FIELDS for mantissa in MANTISSAS]
    leads += [1 << bit | low for bit in range(23) for low in (0, 1 << bit >> 1, (1 << bit) - 1)]
    blocks = []
    for lead in leads:
        top = lead >> 23
        # few leading bits and then a tie, a bit below it or a bit above, down to nothing
        field = np.maximum(top - generator.integers(0, 26, LANES), 0)
        mantissa = generator.integers(0, 16, LANES) << 19 | 1 << generator.integers(15, 22, LANES)
        mantissa += generator.choice([-1, 0, 0, 1], LANES)
        values = np.minimum(
            field << 23 | (mantissa & 0x7FFFFF) >> generator.integers(0, 23, LANES) * (field == 0), lead
        )
        values |= generator.integers(0, 2, LANES) << 31
        values[generator.integers(LANES)] = lead
        blocks.append(values)
    zeros = [np.zeros(LANES, int), np.full(LANES, 1 << 31), generator.integers(0, 2, LANES) << 31]
    ulp = [np.where(np.arange(LANES) == lane, 0x7F7FFFFF, 1 | lane << 31 & 1 << 31) for lane in (0, 31)]
    specials = []
    for lane, special in enumerate((0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF)):
        for others in (0x3F800000, 0x80000000, 0xFF7FFFFF):
            specials.append(np.where(np.arange(LANES) == 6 * lane, special, others))
    return np.array(blocks + zeros + ulp + specials).astype(np.uint32)


@pytest.fixture(scope="module", params=[False, True], ids=["shallow", "deep"])
def deep(request):
    return request.param


@pytest.fixture(scope="module")
def lane(deep):
    return Lane(Quantizer(deep=deep), name="quantizer")


def quantized(lane, blocks, *, shape=None, pauses=None, seed=1):
    """Format codes, scales and codes that come out for the blocks."""
    lane.push("i", blocks.beats(shape or Quantizer().shape))
    lane.run({"o": len(blocks.bits)}, pauses=pauses or {}, seed=seed)
    fields = lane.pull_fields("o")
    return fields["format"], fields["scale"], fields["codes"]


def compare(blocks, scales, codes, expected_scales, expected_codes):
    """Fail with the first block that differs."""
    wrong = (scales != expected_scales) | (codes != expected_codes).any(axis=1)
    if not wrong.any():
        return
    index = int(np.argmax(wrong))
    elements = [
        f"lane {number}: {blocks.bits[index, number]:#010x} random {blocks.random[index, number]:#06x} "
        f"gives {codes[index, number]:#04x}, not {expected_codes[index, number]:#04x}"
        for number in np.flatnonzero(codes[index] != expected_codes[index])[:4]
    ]
    asked = f"{blocks.formats[index]} {blocks.rules[index]} {blocks.roundings[index]}"
    scale = f"scale {scales[index]}, not {expected_scales[index]}"
    pytest.fail(f"{wrong.sum()} blocks; block {index} ({asked}): " + "; ".join([scale, *elements]))


@pytest.mark.sim
@pytest.mark.parametrize(("fmt", "rule", "rounding"), COMBINATIONS)
def test_corners_by_exact_rationals(lane, fmt, rule, rounding, seed):
    generator = np.random.default_rng(seed)
    bits = corner_values(generator)
    bits = bits[generator.permutation(len(bits))[:60]]
    random = generator.integers(0, 1 << 16, bits.shape, dtype=np.uint16)
    blocks = Blocks.asking(bits, fmt, rule, rounding, random)
    _, scales, codes = quantized(lane, blocks)
    drawn = random.tolist() if rounding == "stochastic" else [[None] * LANES] * len(bits)
    expected = [exact(row, fmt, rule, used) for row, used in zip(bits.tolist(), drawn, strict=True)]
    compare(blocks, scales, codes, np.array([scale for scale, _ in expected]), np.array([row for _, row in expected]))


@pytest.mark.sim
@pytest.mark.parametrize(("fmt", "rule", "rounding"), COMBINATIONS)
def test_corners_as_golden(lane, fmt, rule, rounding, seed):
    generator = np.random.default_rng(seed)
    bits = corner_values(generator)
    random = generator.choice(np.array([0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF], np.uint16), bits.shape)
    blocks = Blocks.asking(bits, fmt, rule, rounding, random)
    _, scales, codes = quantized(lane, blocks)
    compare(blocks, scales, codes, *blocks.expected(Quantizer().shape))


@pytest.mark.sim
def test_random_blocks_as_golden(lane, seed):
    """10^5 blocks, each asking for something else than the one before, while both streams pause."""
    generator = np.random.default_rng(seed)
    shape = Quantizer().shape
    for part in range(4):
        blocks = Blocks.mixed(random_values(generator, 25_000, LANES), shape, generator)
        pauses = {"i": (0.0, 0.3, 0.0, 0.6)[part], "o": (0.0, 0.0, 0.3, 0.6)[part]}
        formats, scales, codes = quantized(lane, blocks, pauses=pauses, seed=seed + part)
        compare(blocks, scales, codes, *blocks.expected(shape))
        assert formats.tolist() == [FormatCode[name].value for name in blocks.formats]


@pytest.mark.sim
@pytest.mark.parametrize(
    ("fmt", "rule", "patterns", "scale", "codes"),
    [
        # below half the least subnormal by no more than FP32's last bits: numerics.md, "Cases that caught real engines"
        ("MXFP8_E4M3", "floor", [0x43800000, 0x3A800001, 0x3A800000, 0xBA800000], 127, [0x78, 0x01, 0x00, 0x80]),
        # one ulp below a power of two: floor of the logarithm is still 0
        ("MXFP4", "floor", [0x3FFFFFFF], 125, [0x07]),
        ("MXFP4", "ceil", [0x3FFFFFFF], 126, [0x06]),
        ("MXFP4", "rceil", [0x3FC00000], 125, [0x07]),
        ("MXFP4", "rceil", [0x3FC00001], 126, [0x05]),
        ("MXFP4", "even", [0x3FDFFFFF], 125, [0x07]),
        ("MXFP4", "even", [0x3FE00000], 126, [0x06]),
        # the only scale code above 0 that a subnormal can have
        ("MXINT8", "ceil", [0x00400000], 0, [0x40]),
        ("MXINT8", "ceil", [0x00400001], 1, [0x20]),
        # the integer is clamped symmetrically, and has no minus zero
        ("MXINT8", "floor", [0x3FFFFFFF, 0xBFFFFFFF, 0x80000000, 0xB0000000], 127, [0x7F, 0x81, 0x00, 0x00]),
        # scale code 254 is the last number
        ("MXINT8", "ceil", [0x7F7FFFFF], 254, [0x7F]),
        # scale code 0: FP32's subnormals are normal elements
        ("MXFP8_E5M2", "floor", [0x00800000, 0x00400000, 0x00000100], 0, [0x40, 0x3C, 0x04]),
        ("MXFP6_E2M3", "floor", [0x80000000, 0x00000000], 0, [0x20, 0x00]),
        ("MXFP6_E3M2", "even", [0x7F800000, 0x3F800000], NAN_SCALE, [0x00, 0x00]),
    ],
)
def test_case(lane, fmt, rule, patterns, scale, codes):
    bits = np.zeros((1, LANES), np.uint32)
    bits[0, : len(patterns)] = patterns
    _, scales, got = quantized(lane, Blocks.asking(bits, fmt, rule, "rne", np.zeros((1, LANES), np.uint16)))
    assert (int(scales[0]), got[0, : len(codes)].tolist()) == (scale, codes)


@pytest.mark.sim
def test_speed(lane, deep, seed):
    """A block a cycle from the first to the last, each `latency` cycles after it was taken."""
    generator = np.random.default_rng(seed)
    shape = Quantizer().shape
    lane.reset()
    lane.push("i", Blocks.mixed(random_values(generator, 200, LANES), shape, generator).beats(shape))
    lane.run({"o": 200}, record=True)
    taken, given = lane.transfer_cycles("i").astype(int), lane.transfer_cycles("o").astype(int)
    lane.pull("o")
    assert (given - taken == Quantizer(deep=deep).latency).all()
    assert (np.diff(given) == 1).all()


def test_not_built_is_nan(seed):
    """A format or rule that is not there gives no block in another one."""
    quantizer = Quantizer(formats=("MXFP8_E4M3",), scale_rules=("floor", "even"), stochastic=False)
    asked = [("MXFP8_E4M3", "floor"), ("MXFP8_E5M2", "floor"), ("MXFP8_E4M3", "ceil"), ("BF16", "even")]
    bits = random_values(np.random.default_rng(seed), 4, LANES) & np.uint32(0xBFFFFFFF)
    formats, rules = zip(*asked, strict=True)
    blocks = Blocks(
        bits=bits, formats=formats, rules=rules, roundings=["rne"] * 4, random=np.zeros(bits.shape, np.uint16)
    )
    named, scales, codes = simulated(quantizer, blocks)
    compare(blocks, scales, codes, *blocks.expected(quantizer.shape))
    assert scales[1:].tolist() == [NAN_SCALE] * 3
    assert scales[0] != NAN_SCALE
    assert named.tolist() == [FormatCode[name].value for name in formats]


def simulated(quantizer, blocks):
    """As `quantized`, in Amaranth's simulator."""
    beats = [int.from_bytes(beat.tobytes(), "little") for beat in blocks.beats(quantizer.shape)]
    results: list[int] = []

    async def drive(ctx):
        for beat in beats:
            ctx.set(quantizer.i.payload.as_value(), beat)
            ctx.set(quantizer.i.valid, 1)
            await ctx.tick().until(quantizer.i.ready)
        ctx.set(quantizer.i.valid, 0)

    async def take(ctx):
        ctx.set(quantizer.o.ready, 1)
        while len(results) < len(beats):
            (bits,) = await ctx.tick().sample(quantizer.o.payload.as_value()).until(quantizer.o.valid)
            results.append(bits)

    simulate(quantizer, drive, take)
    words = -(-len(quantizer.o.payload.as_value()) // 32)
    raw = b"".join(bits.to_bytes(4 * words, "little") for bits in results)
    fields = unpack(quantizer.shape.output_layout, np.frombuffer(raw, "<u4").reshape(-1, words))
    return fields["format"], fields["scale"], fields["codes"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"formats": ("MXFP8_E4M3",), "scale_rules": ("floor",), "stochastic": False},
        {"formats": ("MXFP8_E5M2",), "scale_rules": ("rceil", "floor"), "stochastic": False},
        {"formats": ("MXINT8",), "scale_rules": ("ceil",), "stochastic": False},
        {"formats": ("MXFP4", "MXINT8"), "scale_rules": ("even",), "stochastic": True},
        {"formats": ("MXFP6_E2M3", "MXFP6_E3M2"), "stochastic": True},
        {"formats": ("MXFP4",), "stochastic": True},
    ],
    ids=lambda parameters: "-".join(parameters["formats"]),
)
def test_smaller_builds_as_golden(parameters, deep, seed):
    quantizer = Quantizer(**parameters, deep=deep)
    generator = np.random.default_rng(seed)
    corners = corner_values(generator)
    bits = np.concatenate([corners[generator.permutation(len(corners))[:120]], random_values(generator, 80, LANES)])
    blocks = Blocks.mixed(bits, quantizer.shape, generator)
    _, scales, codes = simulated(quantizer, blocks)
    compare(blocks, scales, codes, *blocks.expected(quantizer.shape))


@pytest.mark.sim
def test_streams():
    done = run_cocotb(Quantizer(**PARAMETERS), module="tb.tensor.quantize_tb", name="quantizer")
    assert len(done.tests) == 11


def test_lanes_are_one_module():
    emitted = emit(Quantizer(**PARAMETERS), name="quantizer")
    (shared,) = emitted.manifest["shared"]
    assert shared["component"].endswith("ElementConverter")
    assert emitted.verilog.count(f"  {shared['module']} ") == LANES


def test_latency_and_names():
    assert [Quantizer(stochastic=stochastic).latency for stochastic in (False, True)] == [4, 4]
    assert [Quantizer(stochastic=stochastic, deep=True).latency for stochastic in (False, True)] == [9, 10]
    assert [Quantizer(deep=deep).deep for deep in (False, True)] == [False, True]
    assert quantize_shape.SCALE_RULES == SCALE_RULES
    assert tuple(rounding.name.lower() for rounding in Rounding) == ROUNDINGS


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"formats": ["MXFP4"]}, TypeError, "Quantizer formats must be a tuple of names, not ['MXFP4']"),
        ({"formats": ()}, ValueError, "Quantizer formats must be one or more different names, not ()"),
        ({"formats": ("MXFP4",) * 2}, ValueError, "Quantizer formats must be one or more different names, not ("),
        ({"formats": ("MXFP5",)}, ValueError, "Quantizer format must be one of MXFP8_E5M2, "),
        ({"formats": ("NVFP4",)}, ValueError, "Quantizer format must have an E8M0 scale, not 'NVFP4'"),
        ({"scale_rules": "floor"}, TypeError, "Quantizer scale rules must be a tuple of names, not 'floor'"),
        ({"scale_rules": ("round",)}, ValueError, "Quantizer scale rule must be one of floor, "),
        ({"deep": None}, TypeError, "Quantizer deep must be a bool, not None"),
        ({"stochastic": 1}, TypeError, "Quantizer stochastic must be a bool, not 1"),
        ({"lanes": 16}, ValueError, "Quantizer lanes must be 32, the block of MXFP8_E5M2, not 16"),
        ({"lanes": "32"}, TypeError, "Quantizer lanes must be an integer, not '32'"),
        ({"lanes": 1}, ValueError, "Quantizer lanes must be at least 2, not 1"),
    ],
)
def test_wrong(parameters, error, message):
    with pytest.raises(error) as caught:
        Quantizer(**parameters)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("deep", "early"), [(False, 1), (True, 4)])
def test_element_too_late(deep, early):
    with pytest.raises(ValueError, match=f"Early must be at least {early + 1}, not {early}"):
        ElementConverter(shape=Quantizer(deep=deep).shape, early=early)
