"""Checks of the parameters that the parts of a message engine share; see `hdl.core.checks`."""

from typing import Any

from mtia.message import FLIT_BYTES, HEADER_BYTES, MAX_PACKET, MAX_RANKS, Channel

from ..core.checks import require_int


def require_mtu(subject: str, value: Any) -> int:
    """Returns ``value`` if a packet of so many payload bytes fills its flits: 32 + 64 k; TypeError or ValueError."""
    require_int(subject, value, low=HEADER_BYTES, high=MAX_PACKET)
    if (value - HEADER_BYTES) % FLIT_BYTES:
        raise ValueError(f"{subject} must be {HEADER_BYTES} + {FLIT_BYTES} k, not {value!r}")
    return value


def require_communicators(subject: str, value: Any) -> int:
    """Returns ``value`` if an event's number has room for so many communicators; TypeError or ValueError."""
    return require_int(subject, value, low=1, high=16)


def require_ports(subject: str, value: Any) -> int:
    """Returns ``value`` if a switch may have so many ports; TypeError or ValueError."""
    return require_int(subject, value, low=1, high=MAX_RANKS)


def require_channel(subject: str, value: Any) -> Channel:
    """Returns ``value`` if it is a `Channel`; TypeError otherwise."""
    if not isinstance(value, Channel):
        raise TypeError(f"{subject} must be a Channel, not {value!r}")
    return value
