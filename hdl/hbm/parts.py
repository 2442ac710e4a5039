"""Parameters that many parts of a controller are built from, readable as properties."""

from .commands import Geometry
from .cycles import Cycles
from .port import MemoryPort


class WithGeometry:
    """A component with a `Geometry`."""

    _geometry: Geometry

    @property
    def geometry(self) -> Geometry:
        """Address fields."""
        return self._geometry


class WithCycles:
    """A component with `Cycles`."""

    _cycles: Cycles

    @property
    def cycles(self) -> Cycles:
        """Distances between commands."""
        return self._cycles


class WithPort:
    """A component with a `MemoryPort`."""

    _port: MemoryPort

    @property
    def port(self) -> MemoryPort:
        """Widths of the memory port."""
        return self._port


class WithEntries:
    """A component with a number of places for requests."""

    _entries: int

    @property
    def entries(self) -> int:
        """Requests that fit into a pool."""
        return self._entries
