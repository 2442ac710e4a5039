"""Tables of the sequencer: communicators, programs, their entries."""

from amaranth import *
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import ENTRY_ADDRESS_BITS

from ..core.checks import require_int, stream_in
from .jobs import ENTRY_BITS, Configure
from .layouts import Communicator, Entry, Program


class Space(enum.IntEnum, shape=3):
    """Tables of a message engine; `index` is the number of an entry, `data` a word of its layout in `mtia.message`."""

    WINDOWS = 0
    COMMUNICATORS = 1
    ENTRIES = 2  #: of the context RAM
    PROGRAMS = 3  #: where programs begin


class Tables(wiring.Component):
    """The tables that a host writes before it starts commands.

    An entry is read a cycle after its index is given with the port's enable, and held until the
    next. A change is taken in a cycle; what reads the same entry then may get either. An index past
    the end of a table changes nothing.

    Parameters
    ----------
    communicators : 1 to 16.
    programs : 1 to 256.
    entries : of the context RAM, 2 to 512.

    Members
    -------
    configure : stream of `Configure`, always taken. Spaces that are not here are dropped.
    restart : {valid, index} of a communicator that is written.
    admit_communicator, program, fetch_communicator, entry : the ports: `NAME_index`, `NAME_enable`,
        `NAME`.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, communicators: int, programs: int, entries: int):
        self._communicators = require_int("Communicators", communicators, low=1, high=16)
        self._programs = require_int("Programs", programs, low=1, high=256)
        self._entries = require_int("Entries", entries, low=2, high=1 << ENTRY_ADDRESS_BITS)
        ports: dict[str, wiring.Member] = {}
        for name, bits, shape in (
            ("admit_communicator", 4, Communicator),
            ("fetch_communicator", 4, Communicator),
            ("program", 8, Program),
            ("entry", ENTRY_BITS, Entry),
        ):
            ports |= {f"{name}_index": In(bits), f"{name}_enable": In(1), name: Out(shape)}
        restart = data.StructLayout({"valid": 1, "index": 4})
        super().__init__({"configure": stream_in(Configure), "restart": Out(restart), **ports})

    @property
    def communicators(self) -> int:
        """Entries of the communicator table."""
        return self._communicators

    @property
    def programs(self) -> int:
        """Entries of the program directory."""
        return self._programs

    @property
    def entries(self) -> int:
        """Entries of the context RAM."""
        return self._entries

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tables = (
            (Space.COMMUNICATORS, Communicator, self.communicators, ("admit_communicator", "fetch_communicator")),
            (Space.PROGRAMS, Program, self.programs, ("program",)),
            (Space.ENTRIES, Entry, self.entries, ("entry",)),
        )
        change = self.configure.payload
        m.d.comb += self.configure.ready.eq(1)
        for space, shape, depth, names in tables:
            # One entry would have an address of no bits.
            table = memory.Memory(shape=shape, depth=max(2, depth), init=[])
            m.submodules[space.name.lower()] = table
            write = table.write_port()
            m.d.comb += [
                write.en.eq(self.configure.valid & (change.space == space) & (change.index < depth)),
                write.addr.eq(change.index),
                Value.cast(write.data).eq(change.data),
            ]
            for name in names:
                port = table.read_port()
                m.d.comb += [
                    port.en.eq(getattr(self, f"{name}_enable")),
                    port.addr.eq(getattr(self, f"{name}_index")),
                    Value.cast(getattr(self, name)).eq(Value.cast(port.data)),
                ]
            if space is Space.COMMUNICATORS:
                m.d.comb += [self.restart.valid.eq(write.en), self.restart.index.eq(change.index)]
        return m
