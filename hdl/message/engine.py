"""The message engine: descriptors in, completions out, beside a memory port and a network port."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Channel, Reason
from mtia.message_profiles import MessageParameters

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..link.flit import Flit
from .jobs import Configure
from .layouts import Completion, Descriptor
from .ports import FLIT_BITS, ReadData, ReadRequest, Write
from .receiver import COUNTER_BITS, Receiver
from .reducer import Reducer
from .reducer_write import wide_write
from .sender import Sender
from .sequencer import Sequencer
from .spaces import Spaces


class MessageEngine(wiring.Component):
    """Runs the commands of its descriptors: messages to peers, and collectives as programs of its context RAM.

    A descriptor on `doorbell` is its own doorbell: nothing is fetched from memory. What its program
    asks for goes to the sender (memory to network) and the reducer (memory to memory); the receiver
    checks what comes from the network against its windows before a byte is written, and tells the
    sequencer what arrived.

    Latency: 8 cycles and the memory's from the doorbell of a PUT to its first flit. Throughput: a
    flit a cycle each way, and a line of `parameters.line_bytes` a cycle through the reducer, if the
    memory keeps up.

    Errors: a malformed descriptor is completed as such, with what is wrong, and does nothing; a
    refused packet is completed with its reason; a command that is not through in its timeout ends
    as TIMEOUT. See `Sequencer`, `Receiver`, `Sender`, `Reducer`.

    A memory port may answer after any time, in order. A write that it has taken is seen by every
    later read of any.

    Parameters
    ----------
    parameters : sizes of its tables, queues and lines.

    Members
    -------
    doorbell : array of streams of `Descriptor`, one a partition.
    completion : stream of `Completion`.
    configure : stream of {space, index, data}, changes of a table; see `hdl.message.tables.Space`.
    read, read_data : streams, addresses and 64 bytes for each, for the sender.
    write : stream of what arrives.
    sum_read, sum_data, sum_write : streams of lines for the reducer.
    tx, rx : flits to and from the network, a stream a channel.
    link_down : the link has failed: commands that need it end.
    refused : packets refused so far, by `Reason`.
    packets_in, flits_in, packets_out, flits_out : so far. All counters have 32 bits and wrap.

    Raises TypeError for `parameters` of another kind; what they may be, they check themselves.
    """

    def __init__(self, *, parameters: MessageParameters):
        if not isinstance(parameters, MessageParameters):
            raise TypeError(f"Message engine parameters must be MessageParameters, not {parameters!r}")
        self._parameters = parameters
        channels, lines = len(Channel), parameters.lines
        super().__init__(
            {
                "doorbell": stream_in(Descriptor).array(parameters.partitions),
                "completion": stream_out(Completion),
                "configure": stream_in(Configure),
                "read": stream_out(ReadRequest),
                "read_data": stream_in(ReadData),
                "write": stream_out(Write),
                "sum_read": stream_out(ReadRequest),
                "sum_data": stream_in(data.StructLayout({"data": FLIT_BITS * lines})),
                "sum_write": stream_out(wide_write(lines)),
                "tx": stream_out(Flit).array(channels),
                "rx": stream_in(Flit).array(channels),
                "link_down": In(1),
                "refused": Out(COUNTER_BITS).array(len(Reason)),
                **{name: Out(COUNTER_BITS) for name in ("packets_in", "flits_in", "packets_out", "flits_out")},
            }
        )

    @property
    def parameters(self) -> MessageParameters:
        """Sizes of its tables, queues and lines."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self.parameters
        m.submodules.spaces = spaces = Spaces()
        m.submodules.sequencer = sequencer = Sequencer(
            partitions=size.partitions,
            depth=size.ring,
            commands=size.commands,
            communicators=size.communicators,
            threads=size.threads,
            completion_depth=size.completions,
        )
        m.submodules.reducer = reducer = Reducer(width=size.lines)
        m.submodules.sender = sender = Sender(mtu=size.mtu, reads=size.reads)
        m.submodules.receiver = receiver = Receiver(
            windows=size.windows, communicators=size.communicators, mtu=size.mtu
        )
        connect(m, wiring.flipped(self.configure), spaces.i)
        connect(m, spaces.windows, receiver.windows)
        connect(m, spaces.forget, receiver.forget)
        connect(m, spaces.sequencer, sequencer.configure)
        for port, bell in zip(self.doorbell, sequencer.doorbell, strict=True):
            connect(m, wiring.flipped(port), bell)
        connect(m, sequencer.completion, wiring.flipped(self.completion))
        for name, maker, taker in (
            *(("send", sequencer, sender), ("sent", sender, sequencer)),
            *(("work", sequencer, reducer), ("done", reducer, sequencer)),
            *(("load", sequencer, reducer), ("loaded", reducer, sequencer)),
            *(("query", sequencer, receiver), ("answer", receiver, sequencer)),
            *(("ready_query", sequencer, receiver), ("ready_answer", receiver, sequencer)),
            *(("acknowledged", receiver, sequencer), ("reply", receiver, sender)),
        ):
            connect(m, getattr(maker, name), getattr(taker, name))
        m.d.comb += [
            *(getattr(sequencer, name).eq(getattr(receiver, name)) for name in ("arrived", "arrived_event")),
            *(sequencer.ready_arrived.eq(receiver.ready_arrived), sequencer.link_down.eq(self.link_down)),
        ]
        self._outside(m, sender, receiver, reducer)
        return m

    def _outside(self, m: Module, sender: Sender, receiver: Receiver, reducer: Reducer) -> None:
        """Memory, network and counters."""
        connect(m, sender.read, wiring.flipped(self.read))
        connect(m, wiring.flipped(self.read_data), sender.read_data)
        connect(m, receiver.write, wiring.flipped(self.write))
        connect(m, reducer.sum_read, wiring.flipped(self.sum_read))
        connect(m, wiring.flipped(self.sum_data), reducer.sum_data)
        connect(m, reducer.sum_write, wiring.flipped(self.sum_write))
        for channel in Channel:
            connect(m, sender.tx[channel], wiring.flipped(self.tx[channel]))
            connect(m, wiring.flipped(self.rx[channel]), receiver.rx[channel])
        m.d.comb += [
            *(own.eq(count) for own, count in zip(self.refused, receiver.refused, strict=True)),
            *(self.packets_in.eq(receiver.packets_in), self.flits_in.eq(receiver.flits_in)),
            *(self.packets_out.eq(sender.packets_out), self.flits_out.eq(sender.flits_out)),
        ]
