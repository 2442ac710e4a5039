"""Checks of fields, with one grammar for their errors: "<Subject> must be <rule>, not <value>"."""

from collections.abc import Iterable, Mapping


def check_count(subject: str, value: object, low: int, high: int) -> None:
    """TypeError for what is no integer, a bool among it; ValueError for one that is not in `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{subject} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{subject} must be in {low} to {high}, not {value!r}")


def check_counts(subject: str, row: object, bounds: Mapping[str, tuple[int, int]]) -> None:
    """`check_count` of fields of a dataclass; `subject` stands before the name, such as ``"Link "``, or is empty."""
    for name, (low, high) in bounds.items():
        check_count(f"{subject}{name}", getattr(row, name), low, high)


def check_powers(subject: str, row: object, names: Iterable[str]) -> None:
    """ValueError for a field of those that is neither 0 nor a power of two."""
    for name in names:
        value = getattr(row, name)
        if value & (value - 1):
            raise ValueError(f"{subject}{name} must be a power of two, not {value!r}")
