"""A network interface: a link, and the queue pairs that may use it."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia import link
from mtia.link import LinkParameters
from mtia.message import FLIT_BYTES, Channel

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from .admit import Admit, NicRole, PairIndex, QueuePair, Refusal
from .flit import Flit
from .frame import Counters, DownCause, LinkState, line
from .link import Link

#: what `Nic.configure` takes: with `sets_role` the NIC's role, otherwise a queue pair at its place
Configure = data.StructLayout({"sets_role": 1, "role": NicRole, "index": PairIndex, "pair": QueuePair})
#: `mtia.link.NIC_COUNTERS`, 32 bits each
NicCounters = data.StructLayout(dict.fromkeys(link.NIC_COUNTERS, 32))


class Nic(wiring.Component):
    """One NIC, for scale-up or scale-out as its role says; a SPARE sends nothing.

    A packet at `tx` leaves over the link if a queue pair to its destination is open, of the NIC's
    role, and, for a request, of its partition and windows; otherwise it is taken, dropped and
    counted. What the wire brings goes to `rx` as it is: windows are checked where they are. The
    role and the pairs may be changed at any time and count for packets that begin later. At
    power-up all pairs are closed and the role is SPARE; a reset makes it SPARE again, but leaves
    the pairs, which are in a memory.

    Latency 3 cycles from `tx` to `line_out`, 3 from `line_in` to `rx`; throughput as
    `hdl.link.link.Link`.

    Parameters
    ----------
    parameters : of the link, with flits of 64 bytes.

    Members
    -------
    configure : stream of `Configure`, always ready; holds for packets that begin in a later cycle.
    role : the role.
    nic_counters : `mtia.link.NIC_COUNTERS`, packets of both channels, 32 bits that wrap; cleared by
        reset only.
    tx, rx, line_out, line_in, restart, state, down, cause, counters : as those of
        `hdl.link.link.Link`, with flits of `hdl.link.flit.Flit`.

    Raises ValueError for a link of other flits.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        if parameters.flit_bits != 8 * FLIT_BYTES:
            raise ValueError(f"Nic flit_bits must be {8 * FLIT_BYTES}, not {parameters.flit_bits!r}")
        super().__init__(
            {
                "tx": stream_in(Flit).array(len(Channel)),
                "rx": stream_out(Flit).array(len(Channel)),
                "line_out": Out(line(parameters)),
                "line_in": In(line(parameters)),
                "restart": In(1),
                "state": Out(LinkState),
                "down": Out(1),
                "cause": Out(DownCause),
                "counters": Out(Counters),
                "configure": stream_in(Configure),
                "role": Out(NicRole),
                "nic_counters": Out(NicCounters),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link_end = Link(parameters=self.parameters)
        m.submodules.pairs = pairs = memory.Memory(shape=QueuePair, depth=1 << PairIndex.size, init=[])
        connect(m, link_end.line_out, wiring.flipped(self.line_out))
        connect(m, wiring.flipped(self.line_in), link_end.line_in)
        put, change = pairs.write_port(), self.configure.payload
        m.d.comb += [
            link_end.restart.eq(self.restart),
            self.state.eq(link_end.state),
            self.down.eq(link_end.down),
            self.cause.eq(link_end.cause),
            self.counters.eq(link_end.counters),
            self.configure.ready.eq(1),
            put.en.eq(self.configure.valid & ~change.sets_role),
            put.addr.eq(change.index),
            put.data.eq(change.pair),
        ]
        with m.If(self.configure.valid & change.sets_role):
            m.d.sync += self.role.eq(change.role)
        admits = []
        for channel in Channel:
            m.submodules[f"admit_{channel.name.lower()}"] = admit = Admit(channel=channel)
            get = pairs.read_port()
            connect(m, wiring.flipped(self.tx[channel]), admit.i)
            connect(m, admit.o, link_end.tx[channel])
            connect(m, link_end.rx[channel], wiring.flipped(self.rx[channel]))
            m.d.comb += [
                admit.role.eq(self.role),
                get.en.eq(admit.asks),
                get.addr.eq(admit.index),
                admit.pair.eq(get.data),
            ]
            admits.append(admit)
        self._count(m, admits)
        return m

    def _count(self, m: Module, admits: list[Admit]) -> None:
        """Packets of both channels by what became of them."""
        reasons = {f"refused_{reason.name.lower()}": reason for reason in link.Refusal if reason}
        for name in link.NIC_COUNTERS:
            events = [
                admit.refused == Refusal[reasons[name].name] if name in reasons else admit.admitted for admit in admits
            ]
            with m.If(Cat(events).any()):
                count = self.nic_counters[name]
                m.d.sync += count.eq(count + sum(events))
