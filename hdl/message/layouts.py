"""The layouts of `mtia.message` as Amaranth shapes, field for field, the first in the lowest bits.

`Header` begins a packet. `Window` is an entry of the receiver's table; `Communicator`, `Program`
and `Entry` are entries of the sequencer's (`hdl.message.tables.Space`). `Descriptor` is what a host
writes to a doorbell and `Completion` what it gets for it. `Event` is how the number of an event is
made up.
"""

from amaranth.lib import data

from mtia import message

Header = data.StructLayout(dict(message.HEADER))
Window = data.StructLayout(dict(message.WINDOW))
Communicator = data.StructLayout(dict(message.COMMUNICATOR))
Descriptor = data.StructLayout(dict(message.DESCRIPTOR))
Completion = data.StructLayout(dict(message.COMPLETION))
Entry = data.StructLayout(dict(message.ENTRY))
Program = data.StructLayout(dict(message.PROGRAM))
Event = data.StructLayout(dict(message.EVENT))
