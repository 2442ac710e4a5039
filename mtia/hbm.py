"""HBM as data: organizations, timing sets and files of a user's own sets.

A pseudo-channel moves a 32-byte atom in 2 CK on every standard of the family. Every figure carries
its source or the word derived; none is from a vendor, so every one can be changed: by the methods of
`TimingSet`, or in a TOML file (`load`).

>>> from mtia import hbm
>>> timing = hbm.get("HBM3E-9.0")
>>> timing["RCDRD"], timing.organization.banks, timing.organization.stack_bytes >> 30
(44, 48, 36)
>>> hbm.get("HBM4E-13.5").with_stack(64).organization.sids
4
"""

from .formats import unknown
from .hbm_file import load
from .hbm_organization import STACKS, Organization
from .hbm_sets import DERIVED, SETS
from .hbm_timing import FAW_SCOPES, FLOORS, MEANINGS, Parameter, TimingSet


def names() -> tuple[str, ...]:
    """Names of the sets, public presets first."""
    return tuple(SETS)


def get(name: "str | TimingSet") -> TimingSet:
    """The set of that name (any case); ValueError with the nearest names otherwise."""
    if isinstance(name, TimingSet):
        return name
    by_upper = {key.upper(): row for key, row in SETS.items()}
    row = by_upper.get(str(name).upper())
    if row is None:
        raise ValueError(unknown("Timing set", name, list(SETS)))
    return row


def organization_of(standard: str, stack_gb: int) -> Organization:
    """The organization of a stack of so many GiB (a key of `STACKS[standard]`).

    Raises ValueError for a standard or a size that the table lacks.
    """
    for row in SETS.values():
        if row.organization.standard == standard:
            return row.organization.with_stack(stack_gb)
    raise ValueError(unknown("Standard", standard, list(STACKS)))


__all__ = [
    "DERIVED",
    "FAW_SCOPES",
    "FLOORS",
    "MEANINGS",
    "SETS",
    "STACKS",
    "Organization",
    "Parameter",
    "TimingSet",
    "get",
    "load",
    "names",
    "organization_of",
]
