"""How an HBM stack is divided: channels, banks, rows; and the stacks that are known by their size.

`mtia.hbm` offers these with the timing sets of the family. Standard library only.
"""

from dataclasses import dataclass, replace

from .checks import check_count
from .formats import unknown

#: gigabytes (GiB) of a stack -> dies in the stack, SIDs, rows of a bank
_HBM3_STACKS = {
    8: (4, 1, 16384),
    16: (8, 2, 16384),
    24: (12, 3, 16384),
    32: (16, 4, 16384),
    36: (12, 3, 24576),
    48: (16, 4, 24576),
}
_HBM4_STACKS = {32: (8, 2, 16384), 36: (12, 3, 12288), 48: (12, 3, 16384), 64: (16, 4, 16384)}
STACKS: dict[str, dict[int, tuple[int, int, int]]] = {
    "HBM2": {4: (4, 1, 16384), 8: (4, 1, 32768), 16: (8, 2, 32768)},
    "HBM3": _HBM3_STACKS,
    "HBM3E": _HBM3_STACKS,
    "HBM4": _HBM4_STACKS,
    "HBM4E": _HBM4_STACKS,
}

#: field of an organization -> least, largest, whether a power of two
_ORGANIZATION: dict[str, tuple[int, int, bool]] = {
    "channels": (1, 64, True),
    "pseudo_channels": (2, 2, True),
    "sids": (1, 8, False),
    "bank_groups": (1, 16, True),
    "banks_per_group": (1, 16, True),
    "rows": (2, 1 << 20, False),
    "columns": (4, 256, True),
    "dq": (16, 128, True),
    "burst_length": (2, 16, True),
    "stack_height": (1, 32, False),
}


@dataclass(frozen=True, kw_only=True)
class Organization:
    """How a stack is divided, alike in all channels and pseudo-channels.

    standard: HBM2, HBM3, HBM3E, HBM4 or HBM4E; channels: of a stack; pseudo_channels: of a channel;
    sids: stack IDs of a pseudo-channel; bank_groups, banks_per_group: of a SID; rows: of a bank;
    columns: 32-byte atoms of a row; dq: data pins of a pseudo-channel; burst_length: transfers of
    an atom on each; stack_height: dies; act_bus_ck, row_bus_ck: CK that an ACT, and any other row
    command, holds the row bus; source: of the figures.

    Raises TypeError for a field of the wrong kind and ValueError for one out of range, for a count
    that is no power of two where one is needed (SIDs and rows need none), and for atoms that are
    not 32 bytes.
    """

    standard: str
    channels: int
    pseudo_channels: int = 2
    sids: int
    bank_groups: int
    banks_per_group: int
    rows: int
    columns: int = 32
    dq: int
    burst_length: int
    stack_height: int
    act_bus_ck: float
    row_bus_ck: float
    source: str = "user"

    def __post_init__(self) -> None:
        if not isinstance(self.standard, str) or self.standard not in STACKS:
            raise ValueError(unknown("standard", self.standard, list(STACKS)))
        for name, (low, high, power) in _ORGANIZATION.items():
            value = getattr(self, name)
            check_count(name, value, low, high)
            if power and value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value!r}")
        for name in ("act_bus_ck", "row_bus_ck"):
            held = getattr(self, name)
            if isinstance(held, bool) or held not in (0.5, 1, 1.5, 2):
                raise ValueError(f"{name} must be 0.5, 1, 1.5 or 2, not {held!r}")
        if self.atom_bytes != 32:
            raise ValueError(f"dq x burst_length must be 256 bits, not {self.dq * self.burst_length!r}")

    @property
    def banks(self) -> int:
        """Banks of a pseudo-channel, over all SIDs."""
        return self.sids * self.bank_groups * self.banks_per_group

    @property
    def atom_bytes(self) -> int:
        """Bytes that a column command moves."""
        return self.dq * self.burst_length // 8

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a pseudo-channel's bank."""
        return self.columns * self.atom_bytes

    @property
    def pseudo_channel_bytes(self) -> int:
        """Bytes of a pseudo-channel."""
        return self.banks * self.rows * self.row_bytes

    @property
    def stack_bytes(self) -> int:
        """Bytes of a stack."""
        return self.channels * self.pseudo_channels * self.pseudo_channel_bytes

    def with_stack(self, gigabytes: int) -> "Organization":
        """This organization with the dies, SIDs and rows of a stack of so many GiB (a key of `STACKS`).

        Raises ValueError for a size that the standard's table lacks.
        """
        sizes = STACKS[self.standard]
        if not isinstance(gigabytes, int) or gigabytes not in sizes:
            raise ValueError(f"stack_gb must be one of {', '.join(map(str, sizes))}, not {gigabytes!r}")
        height, sids, rows = sizes[gigabytes]
        return replace(self, stack_height=height, sids=sids, rows=rows)

    def with_bank_groups(self, bank_groups: int) -> "Organization":
        """The same banks of a SID in another number of groups; ValueError where they do not divide."""
        banks = self.bank_groups * self.banks_per_group
        if not isinstance(bank_groups, int) or bank_groups < 1 or banks % bank_groups:
            raise ValueError(f"bank_groups must divide {banks}, not {bank_groups!r}")
        return replace(self, bank_groups=bank_groups, banks_per_group=banks // bank_groups)
