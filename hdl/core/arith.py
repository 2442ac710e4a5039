"""Arithmetic shared by data paths: adder trees, maximum trees, leading zeros, sticky shifts.

Every intermediate is a named signal: Amaranth emits a Python expression once per use, and synthesis
maps named sums to carry chains. The functions add logic to a module given to them and return its
outputs, so a caller decides where the cycles are: what is `registered` ends in a register of the
domain ``sync`` and costs a cycle, everything else is combinational. All take a value a cycle, and
none has a handshake: a caller delays what belongs to the value (`delay`) by as many cycles.

`name` begins the names of the signals, which is how they are found in a waveform; two calls within
one module need two names.
"""

from collections.abc import Callable, Collection, Sequence

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.utils import ceil_log2


def tree_levels(count: int) -> int:
    """Levels of a binary tree over `count` terms."""
    return ceil_log2(count)


def reduce_tree(
    m: Module,
    terms: Sequence[ValueLike],
    combine: Callable[[Value, Value], Value],
    *,
    name: str,
    registered: Collection[int] = (),
) -> Value:
    """Combine terms pairwise, level by level, each node a signal ``NAME_LEVEL_INDEX``.

    The nodes are marked to be kept: left alone, Yosys merges sums of sums into compressors of
    look-up tables, which take half as many again as the carry chains of the named sums.

    Latency: one cycle for each level in `registered`. An odd term is carried to the next level with
    the same latency. Registers have no reset.

    Parameters
    ----------
    m : module that the tree is added to.
    terms : what to combine, at least one; a single term is returned as it is.
    combine : makes one value of two neighbours, the earlier term first; it decides the width.
    name : begins the names of the signals.
    registered : levels that end in a register, counted from 1 at the leaves to `tree_levels`.

    Raises ValueError for no terms, and for a level that the tree has not.
    """
    if not terms:
        raise ValueError("Terms of a tree must be at least one, not []")
    levels = range(1, tree_levels(len(terms)) + 1)
    if not set(registered) <= set(levels):
        raise ValueError(f"Registered levels must be in 1 to {levels.stop - 1}, not {registered!r}")
    nodes = [Value.cast(term) for term in terms]
    for level in levels:
        pairs = [combine(*nodes[i : i + 2]) if i + 1 < len(nodes) else nodes[i] for i in range(0, len(nodes), 2)]
        domain = m.d.sync if level in registered else m.d.comb
        nodes = []
        for index, pair in enumerate(pairs):
            node = Signal(
                pair.shape(), name=f"{name}_{level}_{index}", reset_less=level in registered, attrs={"keep": 1}
            )
            domain += node.eq(pair)
            nodes.append(node)
    return nodes[0]


def sum_tree(m: Module, terms: Sequence[ValueLike], *, name: str, registered: Collection[int] = ()) -> Value:
    """Exact sum of unsigned terms; the result is wide enough for every input.

    A level adds a bit: n terms of w bits make ``w + ceil(log2(n))``. Latency as `reduce_tree`.
    """
    return reduce_tree(m, terms, lambda a, b: a + b, name=name, registered=registered)


def maximum_tree(m: Module, terms: Sequence[ValueLike], *, name: str, registered: Collection[int] = ()) -> Value:
    """Largest of unsigned terms, as wide as the widest.

    What decides may be the upper bits and what is wanted the lower ones: terms of key and index make
    the index of the largest key, of equal keys the one with the larger index. Latency as `reduce_tree`.
    """
    return reduce_tree(m, terms, lambda a, b: Mux(a > b, a, b), name=name, registered=registered)


def leading_zeros(
    m: Module,
    value: ValueLike,
    *,
    name: str,
    registered: Collection[int] = (),
    limit: Value | None = None,
) -> tuple[Signal, Signal]:
    """Zeros above the most significant one of `value`, and `value` shifted left by that count.

    Returns (count, normalized); with a `limit` the count is the lesser of the two. The count of a
    zero value is the largest that its width can hold and means nothing; `normalized` is then zero.
    One step per bit of the count, coarsest first, so that counting and shifting share their logic.

    Latency: one cycle for each distance in `registered`, whose step ends in a register without
    reset.

    Parameters
    ----------
    m : module that the steps are added to.
    value : to be normalized, of any width.
    name : begins the names of the signals.
    registered : distances, powers of two below the width.
    limit : most that is shifted, read in the cycle of `value`; any width. This is how a sum that
        would go below the least exponent stays a subnormal.

    Raises ValueError for a distance that is not among the steps.
    """
    current = Value.cast(value)
    width = len(current)
    steps = ceil_log2(width)
    distances = [1 << step for step in range(steps)]
    if not set(registered) <= set(distances):
        raise ValueError(f"Registered distances must be among {distances}, not {registered!r}")
    left: Value = Const((1 << steps) - 1, steps)
    if limit is not None:
        bounded = Signal(steps, name=f"{name}_limit")
        m.d.comb += bounded.eq(Mux(limit[steps:].any(), left, limit))
        left = bounded
    count: Value = Const(0, 0)
    for step in reversed(range(steps)):
        distance = 1 << step
        domain = m.d.sync if distance in registered else m.d.comb
        taken = Signal(name=f"{name}_taken_{distance}")
        shifted = Signal(width, name=f"{name}_shift_{distance}", reset_less=True)
        counted = Signal(len(count) + 1, name=f"{name}_count_{distance}", reset_less=True)
        m.d.comb += taken.eq((current[width - distance :] == 0) & left[step])
        domain += shifted.eq(Mux(taken, current << distance, current))
        domain += counted.eq(Cat(taken, count))
        if limit is not None and step:
            # A limit of the distance or more, and a one in the upper part: the zeros decide from here on.
            loose = left[step] & ~taken
            rest = Signal(step, name=f"{name}_left_{distance}", reset_less=True)
            domain += rest.eq(left[:step] | loose.replicate(step))
            left = rest
        current, count = shifted, counted
    result = Signal(max(1, len(count)), name=f"{name}_count")
    normalized = Signal(width, name=f"{name}_normalized")
    m.d.comb += [result.eq(count), normalized.eq(current)]
    return result, normalized


def shift_right_sticky(m: Module, value: ValueLike, amount: ValueLike, *, name: str) -> Signal:
    """`value` >> `amount`, with the bits that leave ORed into the least significant bit.

    An amount of the width or more leaves only that sticky bit. Shifts of all bits of `amount` are
    honoured, so a caller need not saturate it. Rounding needs no more of what was shifted out: with a
    guard bit above it, the sticky bit tells a tie from what is above one (IEEE 754-2019, 4.3.1).

    Latency: 0, a multiplexer for each bit of `amount`.
    """
    current = Value.cast(value)
    amount = Value.cast(amount)
    width = len(current)
    # The longest shift first: the OR of what it drops is the longest too and needs nothing but the input.
    for step in reversed(range(len(amount))):
        distance = min(1 << step, width)
        lost = Signal(name=f"{name}_lost_{step}")
        shifted = Signal(width, name=f"{name}_step_{step}")
        m.d.comb += lost.eq(current[:distance].any())
        m.d.comb += shifted.eq(Mux(amount[step], (current >> distance) | lost, current))
        current = shifted
    result = Signal(width, name=f"{name}_result")
    m.d.comb += result.eq(current)
    return result


def delay(m: Module, value: ValueLike, cycles: int, *, name: str, reset_less: bool = True) -> Value:
    """`value`, `cycles` clock cycles later, in registers ``NAME_1`` to ``NAME_N``.

    Registers have no reset unless `reset_less` is false, as valid bits need it. Of 0 cycles it is
    `value` itself, so a caller may compute the number of cycles.
    """
    current = Value.cast(value)
    for cycle in range(1, cycles + 1):
        register = Signal(current.shape(), name=f"{name}_{cycle}", reset_less=reset_less)
        m.d.sync += register.eq(current)
        current = register
    return current
