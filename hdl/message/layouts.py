"""The layouts of `mtia.message` as Amaranth shapes, field for field."""

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
