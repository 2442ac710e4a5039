"""Modules of more input bits than Amaranth numbers."""

from amaranth.hdl._nir import Net  # not exported by 0.5

#: bits of a cell's number of a bit: 16 in Amaranth 0.5
_BITS = 24


def allow_wide_modules() -> None:
    """Lets a module have more than 2^16 bits of inputs, for which the 72 ports of a switch are enough.

    Amaranth 0.5 keeps the number of a net as one integer, that of the cell above 16 bits for the bit within it; the
    inputs of a module count as one cell. Nothing but the three methods replaced here knows of it. Call it while no
    netlist is being built, as `elaborate` of a top component is.
    """
    Net.from_cell = classmethod(_from_cell)
    Net.cell = property(_cell)
    Net.bit = property(_bit)


def _from_cell(cls: type, cell: int, bit: int) -> int:
    if not 0 <= bit < 1 << _BITS or cell < 0 or (cell == 0 and bit < 2):
        raise ValueError(f"Net must be of a bit in 0 to 2^{_BITS} - 1 of a cell, not {bit!r} of {cell!r}")
    return cls((cell << _BITS) | bit)


def _cell(net: int) -> int:
    return net >> _BITS


def _bit(net: int) -> int:
    return net & ((1 << _BITS) - 1)
