"""What the fetch of a thread hands over to where its steps are issued."""

from amaranth.lib import data

from mtia.message import MAX_RANKS

from .jobs import PIECE_BITS, RANK_BITS, TAG_BITS, THREAD_BITS, Place
from .ports import ADDRESS_BITS

#: the indices of an entry
INDICES = ("peer", "source", "target", "chunk")

#: A thread with the entry at which it is, for rank, piece and command. `steps` of 0 passes the entry by. Indices are
#: `NAME_base` + `NAME_step` * step, modulo `ranks`. `slots_base`, `source` and `target` lack index * chunk. `sizes` is
#: where the table of sizes begins; its low half is also the descriptor's `immediate`.
Visit = data.StructLayout(
    {
        "thread": THREAD_BITS,
        "synced": 1,
        "place": Place,
        "steps": RANK_BITS,
        "is_last_piece": 1,
        "op": 4,
        "sync": 3,
        "extent": 2,
        "closes": 1,
        "ends": 1,
        "spares_root": 1,
        "multicast": 1,
        "acknowledge": 1,
        **{f"{name}_base": RANK_BITS for name in INDICES},
        **{f"{name}_step": 2 for name in INDICES},
        "source_scaled": 1,
        "target_scaled": 1,
        "owners": RANK_BITS,
        "root": RANK_BITS,
        "rank": RANK_BITS,
        "ranks": RANK_BITS,
        "piece_bytes": PIECE_BITS,
        "full_length": PIECE_BITS,
        "last_length": PIECE_BITS,
        "whole_length": PIECE_BITS,
        "chunk": 32,
        "slots_base": ADDRESS_BITS,
        "source": ADDRESS_BITS,
        "target": ADDRESS_BITS,
        "wait_event": 16,
        "wait_over": 1,
        "set_event": 16,
        "sequence": 16,
        "command": TAG_BITS,
        "partition": 8,
        "window": 8,
        "epoch": 8,
        "key": 32,
        "kind": 2,
        "format": 6,
        "group": 8,
        "first_port": 8,
        "sized": 1,
        "sizes": ADDRESS_BITS,
    }
)

#: What a thread waits for: bits of an event of a collective, or a READY of a port.
Wait = data.StructLayout(
    {
        "valid": 1,
        "thread": THREAD_BITS,
        "event": 16,
        "sequence": 16,
        "mask": MAX_RANKS,
        "port": 8,
    }
)
