"""The registers of an HBM channel as data: address, name and meaning of each counter.

A channel has two pseudo-channels with the same 32 registers each: 16 of events, 16 of the latency histogram.
Every register counts from the last clear, in `WIDTH` bits, and wraps. What is read was true at some
moment of the last `LAG` cycles, and a clear is seen as late; nothing is lost in between.

>>> from mtia import hbm_registers
>>> hbm_registers.address_of("conflicts", pc=1)
37
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .formats import unknown

#: bits of a register
WIDTH = 48
#: bits of an address, and of the part of it that names a register of a pseudo-channel
ADDRESS_BITS, NUMBER_BITS = 6, 5
#: bins of the latency histogram: one for each bit of a latency in cycles
BINS = 16
#: register of the first bin
FIRST_BIN = 16
#: most cycles until an event is seen in its register
LAG = 72

#: name -> meaning, in the order of the registers
COUNTERS: dict[str, str] = {
    "cycles": "controller cycles",
    "reads": "RD commands",
    "writes": "WR commands",
    "activations": "ACT commands",
    "hits": "RD and WR commands less ACT commands: accesses to a row that was open already",
    "conflicts": "PRE commands for a request that wants another row",
    "turnarounds": "changes between reads and writes",
    "refreshes": "REFPB and REFAB commands",
    "managements": "RFMPB commands",
    "refresh_blocked": "cycles in which requests wait for a bank in refresh",
    "combined": "updates applied to an atom that the near-memory unit holds already",
    "corrected": "read atoms with a corrected bit; the read that writes such an atom back counts as well",
    "uncorrected": "read atoms with errors that cannot be corrected",
    "poisoned": "read atoms that are marked as lost",
}


@dataclass(frozen=True, kw_only=True)
class Register:
    """One register: its address, its pseudo-channel, its name there and what it counts."""

    address: int
    pc: int
    name: str
    meaning: str


def bin_range(number: int) -> tuple[int, int | None]:
    """Least and largest latency, in cycles, of a bin of the histogram; None: no largest one.

    Raises ValueError for a bin that there is not.
    """
    if not 0 <= number < BINS:
        raise ValueError(f"Bin must be in 0 to {BINS - 1}, not {number!r}")
    return 1 << number, (2 << number) - 1 if number < BINS - 1 else None


def _bin_meaning(number: int) -> str:
    low, high = bin_range(number)
    span = f"{low} to {high}" if high is not None else f"{low} or more (modulo {1 << BINS})"
    return f"reads whose data was there {span} cycles after they were accepted"


def _registers() -> tuple[Register, ...]:
    rows = list(enumerate(COUNTERS.items()))
    rows += [(FIRST_BIN + number, (f"latency_{number}", _bin_meaning(number))) for number in range(BINS)]
    return tuple(
        Register(address=pc << NUMBER_BITS | number, pc=pc, name=name, meaning=meaning)
        for pc in range(2)
        for number, (name, meaning) in rows
    )


#: all registers, by ascending address; the addresses between them read 0
REGISTERS = _registers()

_ADDRESSES = {(row.name, row.pc): row.address for row in REGISTERS}


def names() -> tuple[str, ...]:
    """Names of a pseudo-channel's registers, by ascending address."""
    return tuple(row.name for row in REGISTERS if row.pc == 0)


def address_of(name: str, *, pc: int = 0) -> int:
    """The address of a register; ValueError with the nearest names for one that there is not."""
    if pc not in (0, 1):
        raise ValueError(f"pc must be 0 or 1, not {pc!r}")
    if (name, pc) not in _ADDRESSES:
        raise ValueError(unknown("Register", name, list(names())))
    return _ADDRESSES[name, pc]


def signed(value: int) -> int:
    """A register's value as a signed number: hits are below 0 while opened rows wait for their first access."""
    return value - (1 << WIDTH) if value >> (WIDTH - 1) & 1 else value


def histogram(values: Mapping[str, int]) -> list[tuple[int, int | None, int]]:
    """Least latency, largest latency and number of reads of each bin, from register values by name."""
    return [(*bin_range(number), values[f"latency_{number}"]) for number in range(BINS)]
