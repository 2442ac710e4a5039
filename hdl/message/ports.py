"""Types of the streams between receiver, sender and sequencer, and of the memory ports of both."""

from amaranth.lib import data

from mtia.message import FLIT_BYTES, MAX_RANKS

from .layouts import Header, Window

#: bits of a memory address and of the data of a flit
ADDRESS_BITS, FLIT_BITS = 48, 8 * FLIT_BYTES

#: A message to send: the header with all fields that its packets share, `offset` where it begins in the window; the
#: address of its first byte in memory, a multiple of 32; its bytes. `thread` comes back in `Sent`.
SendJob = data.StructLayout({"thread": 5, "header": Header, "source": ADDRESS_BITS, "length": 32})
#: The last flit of that thread's message has left.
Sent = data.StructLayout({"thread": 5})
#: Where 64 bytes are read from: a multiple of 32.
ReadRequest = data.StructLayout({"address": ADDRESS_BITS})
#: The 64 bytes, that of the address lowest.
ReadData = data.StructLayout({"data": FLIT_BITS})
#: A write of those of the 64 bytes from a multiple of 32 whose bit of `enable` is set.
Write = data.StructLayout({"address": ADDRESS_BITS, "data": FLIT_BITS, "enable": FLIT_BYTES})
#: A change of the window table.
WindowEntry = data.StructLayout({"index": 8, "window": Window})

#: What a packet was found to be, once its last flit is in memory: what the header says, and why it was refused (a
#: `mtia.message.Reason`, 0 if it was not). `immediate`: the reason that a REFUSED tells.
Outcome = data.StructLayout(
    {
        "reason": 4,
        "op": 4,
        "end": 1,
        "acknowledge": 1,
        "source": 8,
        "partition": 8,
        "window": 8,
        "slot": 8,
        "event": 16,
        "sequence": 16,
        "command": 16,
        "offset": ADDRESS_BITS,
        "immediate": 4,
    }
)
#: An answer to a packet: REFUSED for a `reason` other than 0, else DONE.
Reply = data.StructLayout(
    {
        "reason": 4,
        "destination": 8,
        "partition": 8,
        "window": 8,
        "sequence": 16,
        "command": 16,
        "offset": ADDRESS_BITS,
    }
)
#: An answer that came: DONE, or REFUSED for that reason.
Acknowledged = data.StructLayout({"command": 16, "refused": 1, "reason": 4, "source": 8})

#: A bit of an event that is set, in the collective of that number.
Arrival = data.StructLayout({"event": 16, "sequence": 16, "slot": 7})
#: Asks whether all bits of `mask` are set.
Query = data.StructLayout({"event": 16, "sequence": 16, "mask": MAX_RANKS})
Answer = data.StructLayout({"complete": 1})
#: A READY that came from a port of the switch.
Token = data.StructLayout({"communicator": 4, "port": 8, "offset": ADDRESS_BITS})
#: Asks whether a READY of that port is there, and takes it if it is and `take` is set.
ReadyQuery = data.StructLayout({"communicator": 4, "port": 8, "take": 1})
ReadyAnswer = data.StructLayout({"available": 1, "offset": ADDRESS_BITS})

#: That communicator begins anew, its collectives are counted from 0 again.
Forget = data.StructLayout({"communicator": 4})

#: The eager message of that number has come from a port of the switch.
Eager = data.StructLayout({"source": 8, "sequence": 16})
#: Asks whether it, or a later one, has come.
EagerAnswer = data.StructLayout({"arrived": 1})
