"""Messages between accelerators as data: codes and layouts of packets, descriptors, completions and work queue entries.

A *packet* is a head flit and up to `MAX_PACKET` payload bytes: the head flit holds the header in its first
`HEADER_BYTES` and the first bytes of the payload behind it, each further flit holds `FLIT_BYTES` more. Bytes past the
payload are zero. A *message* is one packet or several; its last packet is marked.

All fields are little-endian: the first field of a layout is in the low bits, byte 0 in the low bits of a word.

>>> from mtia import message
>>> message.width(message.DESCRIPTOR), message.width(message.COMPLETION), message.width(message.ENTRY)
(512, 128, 128)
"""

import enum

#: bytes of a flit, of the header in a head flit, of the unit to which addresses are aligned
FLIT_BYTES, HEADER_BYTES, ATOM_BYTES = 64, 32, 32
#: most payload bytes of a packet: 64 flits with its head
MAX_PACKET = 64 * FLIT_BYTES - HEADER_BYTES
#: most ranks of a communicator, and ports of a switch
MAX_RANKS = 72

#: fields of a layout: names and widths from the lowest bit up
Layout = tuple[tuple[str, int], ...]


class Channel(enum.IntEnum):
    """Virtual channels: what answers never waits behind what asks."""

    REQUEST = 0
    RESPONSE = 1


class PacketOp(enum.IntEnum):
    """What a packet asks of the one that receives it."""

    WRITE = 0  #: payload into a window
    WRITE_IMMEDIATE = 1  #: the same; the message's end sets bit `slot` of event `event`
    SEND = 2  #: payload into the eager slot of its source, in the eager sequence space
    READY = 3  #: the receiver of a message has room for it at `offset` (rendezvous and Send Sync)
    REDUCE = 4  #: contribution `slot` to a reduction in the switch
    RESULT = 5  #: result of such a reduction, to the group: as WRITE_IMMEDIATE
    DONE = 6  #: a message with `acknowledge` is in memory, whole
    REFUSED = 7  #: a packet was refused for the reason in `immediate`; nothing of it was written


#: channel of each operation
CHANNEL_OF: dict[PacketOp, Channel] = dict.fromkeys(PacketOp, Channel.REQUEST) | dict.fromkeys(
    (PacketOp.READY, PacketOp.RESULT, PacketOp.DONE, PacketOp.REFUSED), Channel.RESPONSE
)

#: the header of a packet, 256 bits. `source` is stamped by the switch. With `multicast` the destination is a group.
#: `length`: payload bytes of this packet; `offset`: where they go in the window. `sequence`: number of the collective
#: on its communicator, or of the message in its space. `command` comes back in DONE and REFUSED.
HEADER: Layout = (
    ("op", 4),
    ("end", 1),
    ("acknowledge", 1),
    ("multicast", 1),
    ("reserved", 1),
    ("source", 8),
    ("destination", 8),
    ("partition", 8),
    ("window", 8),
    ("epoch", 8),
    ("key", 32),
    ("kind", 2),
    ("format", 6),
    ("slot", 8),
    ("event", 16),
    ("sequence", 16),
    ("length", 16),
    ("command", 16),
    ("offset", 48),
    ("immediate", 32),
    ("group", 8),
    ("ranks", 8),
)


class Reason(enum.IntEnum):
    """Why a packet was refused, in the order in which it is checked."""

    NONE = 0
    OPERATION = 1  #: no such operation, or not for an endpoint
    WINDOW = 2  #: no window of that number is open
    PARTITION = 3  #: the window is another partition's
    SOURCE = 4  #: the window is not open to that source
    KEY = 5  #: another key
    EPOCH = 6  #: another epoch: the window was closed and opened since
    RIGHTS = 7  #: the window does not allow the operation
    RANGE = 8  #: outside the window, misaligned, or longer than a packet may be


class Right(enum.IntFlag):
    """What a window allows."""

    WRITE = 1
    EVENT = 2
    SEND = 4


#: an entry of the window table. `size` bytes from `base`; `sources`: a bit a source; `part_log`: a window for SEND is
#: cut into parts of 32 << part_log bytes, one a source from source 0 on, and a SEND's offset counts from its source's
WINDOW: Layout = (
    ("valid", 1),
    ("rights", 3),
    ("part_log", 4),
    ("partition", 8),
    ("epoch", 8),
    ("reserved_2", 8),
    ("key", 32),
    ("base", 48),
    ("size", 48),
    ("sources", MAX_RANKS),
    ("reserved_3", 24),
)

#: an entry of the communicator table: the ranks, and the windows that every rank opens under the same numbers.
#: Rank r is at port `first_port` + r of the switch. `landing`: address of the landing slots here; the collectives of
#: odd number use those `parity_bytes` further on. `output`: where the output window begins here; outputs lie at the
#: same distance from there at every rank.
COMMUNICATOR: Layout = (
    ("valid", 1),
    ("reserved", 7),
    ("rank", 8),
    ("ranks", 8),
    ("group", 8),
    ("partition", 8),
    ("landing_window", 8),
    ("output_window", 8),
    ("epoch", 8),
    ("key", 32),
    ("landing", 48),
    ("parity_bytes", 48),
    ("first_port", 8),
    ("output", 48),
    ("reserved_2", 8),
)


class DescriptorOp(enum.IntEnum):
    """What a descriptor starts."""

    PUT = 0  #: one message into a window of a peer
    COLLECTIVE = 1  #: a program on a communicator
    COPY = 2  #: memory to memory
    NOOP = 3  #: a completion and nothing else


class Comparison(enum.IntEnum):
    """Condition on the 32-bit word at a semaphore's address, unsigned; ALWAYS starts at once."""

    ALWAYS = 0
    EQUAL = 1
    NOT_EQUAL = 2
    GREATER_EQUAL = 3
    LESS = 4


#: a descriptor, 64 bytes. `bytes`: of the whole message or collective; `chunk`: of one rank's part, a multiple of 32;
#: `piece`: into which a chunk is cut; `pieces`: of a chunk; `owners`: ranks whose chunk is not empty; `last`: bytes of
#: the last of these; `program`: entry of the program directory. PUT takes `peer`, `window`, `epoch`, `key` and
#: `output` (the offset in the window); with an `event` other than 0 it sets the bit `root` of it, with the low 16 bits
#: of `immediate` as the sequence. A collective whose program asks for sizes finds them at the address
#: ``immediate | event << 32``: a 32-bit word a rank, from a multiple of 4. `timeout`: a command that has run for so
#: many times `TIMEOUT_CYCLES`, and at most once more, and is not through ends as TIMEOUT; 0: it may run for ever.
DESCRIPTOR: Layout = (
    ("op", 4),
    ("comparison", 3),
    ("acknowledge", 1),
    ("partition", 8),
    ("command", 16),
    ("communicator", 4),
    ("kind", 2),
    ("reserved", 2),
    ("program", 8),
    ("root", 8),
    ("owners", 8),
    ("bytes", 32),
    ("chunk", 32),
    ("last", 32),
    ("piece", 16),
    ("pieces", 8),
    ("format", 6),
    ("reserved_2", 2),
    ("input", 48),
    ("output", 48),
    ("semaphore", 48),
    ("value", 32),
    ("peer", 8),
    ("window", 8),
    ("epoch", 8),
    ("immediate", 32),
    ("event", 16),
    ("key", 32),
    ("timeout", 16),
    ("reserved_3", 24),
)

#: entries of an engine's program directory
DIRECTORY_ENTRIES = 64

#: cycles in the unit of a descriptor's timeout
TIMEOUT_CYCLES = 4096


class Status(enum.IntEnum):
    """How a command ended."""

    OK = 0
    MALFORMED = 1  #: the descriptor is out of range or names what is not there (`detail`: the `Fault`): nothing done
    REFUSED = 2  #: a receiver refused a packet; `detail` is the `Reason`
    LINK_DOWN = 3  #: the link failed while the command ran
    TIMEOUT = 4  #: it was not through in the descriptor's `timeout`: a peer failed, was refused or never began


class Fault(enum.IntEnum):
    """What of a descriptor is wrong: the first of these that holds."""

    NONE = 0
    OPERATION = 1  #: no such operation
    COMPARISON = 2  #: no such comparison
    PARTITION = 3  #: not that of the ring
    SEMAPHORE = 4  #: no multiple of 4
    INPUT = 5  #: no multiple of 32
    OUTPUT = 6  #: no multiple of 32, or below where the communicator's outputs begin
    PEER = 7  #: no port of a switch
    COMMUNICATOR = 8  #: none, another partition's, or one whose entry makes no sense
    PROGRAM = 9  #: none
    ROOT = 10  #: no rank
    OWNERS = 11  #: more than ranks
    CHUNK = 12  #: no multiple of 32
    PIECE = 13  #: no multiple of 32, or not 1 to 32 pieces
    LAST = 14  #: longer than a chunk
    FORMAT = 15  #: no format of numbers


#: a completion, 16 bytes. `phase` flips each time the completion queue wraps; `cycles` from doorbell to completion
COMPLETION: Layout = (
    ("command", 16),
    ("status", 4),
    ("detail", 4),
    ("partition", 8),
    ("bytes", 32),
    ("cycles", 32),
    ("reserved", 31),
    ("phase", 1),
)


class WorkOp(enum.IntEnum):
    """Operation of a work queue entry."""

    NOOP = 0
    WRITE = 1
    WRITE_IMMEDIATE = 2
    SEND = 3
    RECEIVE = 4
    COPY = 5
    SUM = 6  #: SUM, MAX or MIN, as the descriptor says, of the slots of all ranks along the tree
    WAIT = 7  #: for the descriptor's comparison on its semaphore
    SET = 8  #: immediate into memory
    REDUCE = 9  #: contribution to a reduction in the switch


class Sync(enum.IntEnum):
    """What must have happened before an entry begins its first step of a piece."""

    NONE = 0
    FENCE = 1  #: every earlier write of the command is acknowledged by its receiver
    SYNC = 2  #: every earlier entry of the subgraph is done here: memory read, sums written
    WQE_SYNC = 3  #: the entry before it is done here
    RECEIVE_SYNC = 4  #: the arrivals that `expect` names are in memory
    SEND_SYNC = 5  #: the peer has said READY (each step waits for its own peer and takes one token)
    FORWARD_SYNC = 6  #: what the step passes on has arrived: bit `source` of the event (each step waits for its own)


class Expect(enum.IntEnum):
    """Whose arrivals complete an event; one's own only with `expect_self`. Nobody waits for empty chunks."""

    PEERS = 0  #: all ranks, if one's own chunk has bytes in this piece
    OWNERS = 1  #: the ranks whose chunk has bytes in this piece
    ROOT = 2  #: the root
    ALL = 3  #: all ranks, whatever has bytes


class Predicate(enum.IntEnum):
    """Ranks that run an entry; the others pass it by."""

    ALWAYS = 0
    ROOT = 1
    OTHERS = 2
    AMONG_OTHERS = 3  #: OTHERS, and steps whose peer is the root are left out


class Repeat(enum.IntEnum):
    """Steps of an entry."""

    ONE = 0
    PEERS = 1  #: ranks - 1
    RANKS = 2
    FORWARDS = 3  #: ranks - 2


class Base(enum.IntEnum):
    """Where the address of an operand starts: memory of one's own for a source, a window of the peer for a target."""

    INPUT = 0  #: the descriptor's input (source only)
    OUTPUT = 1  #: the descriptor's output; of a message: as far from the start of the window
    LANDING = 2  #: the landing slots of this collective's parity
    SEMAPHORE = 3  #: the descriptor's semaphore (source and target of WAIT and SET)


class Extent(enum.IntEnum):
    """Bytes of a step. A step of no bytes is left out."""

    PIECE = 0  #: those of this piece in the chunk of `index`
    WHOLE = 1  #: those of this piece where the whole message is cut into pieces (chunks are not looked at)
    EMPTY = 2  #: none, and the step is not left out: a packet of a header alone
    EVERY = 3  #: as PIECE, but a step of no bytes is not left out


def affine(name: str) -> Layout:
    """An index: ``(rank * [-1, 0, 1] + step * [-1, 0, 1] + root * [0, 1] + offset) mod ranks``, signed coefficients."""
    return ((f"{name}_rank", 2), (f"{name}_step", 2), (f"{name}_root", 1), (f"{name}_offset", 4))


#: a work queue entry, 16 bytes. The address of an operand is its base, plus its index times the chunk if `scaled`, plus
#: the piece times its bytes if `pieced`. `index` of source and target are affine, and so is `chunk`, the chunk whose
#: bytes count. The slot of a message, or of the result that a contribution asks for, is the index of the target, scaled
#: or not; a message of no bytes goes to offset 0. The event that is waited for is {wait_phase, piece - wait_lag}, that
#: which is set {set_phase, piece}. `closes`: if a further piece follows, the subgraph begins again with it; `ends`: the
#: subgraph ends (one that does not close runs once, with piece 0). `sized`: the bytes of the chunk are the 32-bit word
#: number `chunk` at the descriptor's sizes, at most `chunk` bytes.
ENTRY: Layout = (
    ("op", 4),
    ("sync", 3),
    ("expect", 2),
    ("expect_self", 1),
    ("predicate", 2),
    ("repeat", 2),
    ("extent", 2),
    ("closes", 1),
    ("ends", 1),
    ("multicast", 1),
    ("acknowledge", 1),
    *affine("peer"),
    ("source_base", 2),
    ("source_scaled", 1),
    ("source_pieced", 1),
    *affine("source"),
    ("target_base", 2),
    ("target_scaled", 1),
    ("target_pieced", 1),
    *affine("target"),
    *affine("chunk"),
    ("wait_phase", 2),
    ("wait_lag", 3),
    ("set_phase", 2),
    ("sized", 1),
    ("reserved", 56),
)

#: subgraphs of a program, which run side by side; bits of an entry's address in the context RAM
SUBGRAPHS, ENTRY_ADDRESS_BITS = 4, 9
#: an entry of the program directory: where each subgraph begins, and how many there are
PROGRAM: Layout = (*((f"entry_{index}", ENTRY_ADDRESS_BITS) for index in range(SUBGRAPHS)), ("subgraphs", 3))

#: an event's number: the landing parity of its collective is part of it
EVENT: Layout = (("piece", 5), ("phase", 2), ("parity", 1), ("communicator", 4), ("reserved", 4))
#: most pieces of a chunk
MAX_PIECES = 32


def width(layout: Layout) -> int:
    """Bits of a layout."""
    return sum(bits for _, bits in layout)


def pack(layout: Layout, **values: int) -> int:
    """The word of a layout with these values, 0 where absent; negative ones in two's complement.

    ValueError for a field that the layout lacks or a value that does not fit.
    """
    word, offset = 0, 0
    for name in values:
        if name not in dict(layout):
            raise ValueError(f"Field must be one of {', '.join(dict(layout))}, not {name!r}")
    for name, bits in layout:
        value = int(values.get(name, 0))
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise ValueError(f"{name} must fit {bits} bits, not {value!r}")
        word |= (value & (1 << bits) - 1) << offset
        offset += bits
    return word


def unpack(layout: Layout, word: int) -> dict[str, int]:
    """The fields of a word, unsigned; ValueError for a word that the layout cannot hold."""
    if not 0 <= word < 1 << width(layout):
        raise ValueError(f"Word must be from 0 to 2^{width(layout)} - 1, not {word!r}")
    values, offset = {}, 0
    for name, bits in layout:
        values[name] = word >> offset & (1 << bits) - 1
        offset += bits
    return values


def flits(length: int) -> int:
    """Flits of a packet of so many payload bytes."""
    return 1 + max(0, -(-(length - (FLIT_BYTES - HEADER_BYTES)) // FLIT_BYTES))
