"""Addresses of a memory system to stacks and back, over arrays; the data is in `mtia.hbm_system`."""

import numpy as np
from numpy.typing import ArrayLike

from mtia.hbm_map import CHUNK_BITS
from mtia.hbm_system import SystemMap

from .hbm_map import Addresses


def split(addresses: ArrayLike, layout: SystemMap) -> tuple[Addresses, Addresses]:
    """The stack of each address, and the address there. Raises ValueError for one that has no atom."""
    address = np.asarray(addresses, np.int64)
    if address.size and not (address.min() >= 0 and address.max() < layout.atoms):
        raise ValueError(f"addresses must be below {layout.atoms}, not {address.min()} to {address.max()}")
    chunk, atom = np.divmod(address, 1 << CHUNK_BITS)
    quotient, remainder = np.divmod(chunk, layout.odd)
    stack = _remainder(quotient, layout) * layout.odd + remainder
    return stack, quotient // layout.even << CHUNK_BITS | atom


def join(stack: ArrayLike, inner: ArrayLike, layout: SystemMap) -> Addresses:
    """The address that `split` takes to a stack and an address there."""
    chunk, atom = np.divmod(np.asarray(inner, np.int64), 1 << CHUNK_BITS)
    wanted, remainder = np.divmod(np.asarray(stack, np.int64), layout.odd)
    quotient = chunk * layout.even
    quotient = quotient | (wanted ^ _remainder(quotient, layout))
    return (quotient * layout.odd + remainder) << CHUNK_BITS | atom


def _remainder(value: Addresses, layout: SystemMap) -> Addresses:
    """Each value as a polynomial over GF(2), modulo the one of the stacks."""
    degree = layout.even.bit_length() - 1
    for bit in reversed(range(degree, layout.quotient_bits)):
        value = value ^ (value >> bit & 1) * (layout.polynomial << (bit - degree))
    return value
