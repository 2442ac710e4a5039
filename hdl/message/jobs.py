"""Types of the streams inside the sequencer, and between it and the reducer."""

from amaranth.lib import data, enum

from mtia.message import ENTRY_ADDRESS_BITS

from .layouts import Descriptor, Header, Program
from .ports import ADDRESS_BITS, FLIT_BITS

#: bits of the number of a program's thread, of a command slot, of an entry's address
THREAD_BITS, SLOT_BITS, ENTRY_BITS = 4, 4, ENTRY_ADDRESS_BITS
#: bits of what travels in a packet's `command`: the slot, and how often it was used before
TAG_BITS = 16
#: bits of a rank or of an index of chunks, of a piece's bytes, of a piece's place in a chunk
RANK_BITS, PIECE_BITS, OFFSET_BITS = 7, 16, 21


class ThreadState(enum.Enum, shape=4):
    """What a thread does or waits for."""

    FREE = 0
    READY = 1  #: its next step may be tried
    BUSY = 2  #: it is being fetched, or its steps are issued
    EVENT = 3  #: arrivals
    TOKEN = 4  #: a peer's READY
    JOBS = 5  #: all its jobs
    LAST = 6  #: its jobs of the kind issued last
    FENCE = 7  #: acknowledgements of its command
    SEMAPHORE = 8  #: the condition on its command's semaphore
    SEND = 9  #: room for a message to send
    MEMORY = 10  #: room for a job of the reducer
    SIZE = 11  #: a size from memory
    END = 12  #: it has ended, its jobs perhaps not


class MemoryOp(enum.Enum, shape=2):
    """What a job asks of the reducer."""

    SUM = 0  #: slots along the tree, into `target`
    COPY = 1  #: `own_address` to `target`
    SET = 2  #: the 32-bit `value` into `target`


#: A job of the reducer. The bytes of slot r begin at `base` + r * `stride`, those of slot `own` at `own_address`.
#: Addresses are multiples of 32, but that of SET: a multiple of 4. `thread` comes back when it is written.
MemoryJob = data.StructLayout(
    {
        "thread": 5,
        "op": MemoryOp,
        "kind": 2,
        "format": 6,
        "slots": RANK_BITS,
        "own": RANK_BITS,
        "base": ADDRESS_BITS,
        "stride": 32,
        "own_address": ADDRESS_BITS,
        "target": ADDRESS_BITS,
        "length": 32,
        "value": 32,
    }
)
#: The last write of that thread's job is taken.
Done = data.StructLayout({"thread": 5})
#: Something to read by the sequencer itself, and the 64 bytes from the multiple of 32 at or below its address.
LoadRequest = data.StructLayout({"address": ADDRESS_BITS})
Loaded = data.StructLayout({"data": FLIT_BITS})

#: A descriptor as it leaves its ring: the ring's number, and the cycle in which it was written.
Doorbell = data.StructLayout({"descriptor": Descriptor, "partition": 8, "born": 32})
#: What a command slot holds. `landing` and `first_port` are the communicator's.
Command = data.StructLayout({"descriptor": Descriptor, "program": Program, "sequence": 16, "tag": TAG_BITS})
#: What becomes a completion.
Report = data.StructLayout({"command": 16, "status": 4, "detail": 4, "partition": 8, "bytes": 32, "born": 32})
#: Where a thread is: whose it is; its entry, where its subgraph begins, the piece and that piece's place in a chunk,
#: the step.
Place = data.StructLayout(
    {
        "slot": SLOT_BITS,
        "communicator": 4,
        "entry": ENTRY_BITS,
        "begin": ENTRY_BITS,
        "piece": 5,
        "offset": OFFSET_BITS,
        "step": RANK_BITS,
    }
)
#: A thread that leaves what was being done to it, and the state it goes to.
Leave = data.StructLayout({"valid": 1, "thread": THREAD_BITS, "to": ThreadState})
#: A number of a thread, and whether it is one.
Chosen = data.StructLayout({"valid": 1, "thread": THREAD_BITS})
#: A change of a table, as `configure` of the engine; `index` and `data` as the space has it.
Configure = data.StructLayout({"space": 3, "index": 12, "data": 256})

#: A step on its way to become a job. `source_index` and `target_index` times `chunk` are added to the addresses.
Step = data.StructLayout(
    {
        "is_send": 1,
        "op": MemoryOp,
        "thread": THREAD_BITS,
        "header": Header,
        "rank": RANK_BITS,
        "base": ADDRESS_BITS,
        "source": ADDRESS_BITS,
        "target": ADDRESS_BITS,
        "source_index": RANK_BITS,
        "target_index": RANK_BITS,
        "chunk": 32,
        "length": 32,
    }
)
