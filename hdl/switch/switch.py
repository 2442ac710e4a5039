"""The switch of a scale-up domain."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Channel
from mtia.switch import SwitchParameters

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.shared import Shared
from ..link.flit import Flit
from .parts import WithParameters
from .plane import Plane
from .reduction import ReductionUnit
from .wide import allow_wide_modules


class Switch(WithParameters, wiring.Component):
    """Passes packets between the ports of a domain, multicasts them to groups and adds contributions on their way.

    The head flit of each packet gets the number of its input as `source`. A packet goes to the port
    that is its `destination`; with `multicast` to the group of that number: to every member but its
    source, a RESULT to every member. What `hdl.switch.route.Route` refuses is drained, counted, and
    answered by REFUSED on channel RESPONSE, from source `mtia.switch.SWITCH_SOURCE`. Packets of one
    source, destination (port or group) and channel keep their order.

    Latency: 4 cycles from the head's transfer in to its transfer out, where nothing is in its way;
    it does not wait for the rest of its packet. 5 of a multicast. Throughput: a flit a cycle from
    each input and at each output and channel. Packets of one channel wait for no packet of the
    other but those that the units and refusals make (`mtia.dependencies`).

    After reset all queues are empty, no port is of any group, and the units take contributions but
    add none until their notes are cleared, one a cycle.

    Parameters
    ----------
    parameters : ports, queues, groups, buses, units.

    Members
    -------
    i_P, o_P : for each port P, two streams of flits, one a channel: from and to its link.
    configure : stream of {group, members}, always ready: the ports that are of a group from the
        next cycle on. A group may change while no packet for it is under way. (Where there are
        buses.)
    up : links that are up; a change counts from the next cycle on. What is for another port is
        refused, or left out where it is a multicast.
    refused : for each port, packets that came from it and were refused at its input, both channels
        together.
    refused_contributions, crowded : for each port, contributions that its unit refused, and those
        of them that found no place (where the switch reduces).

    Raises TypeError for `parameters` of another kind; what they may be, they check themselves.
    """

    def __init__(self, *, parameters: SwitchParameters):
        if not isinstance(parameters, SwitchParameters):
            raise TypeError(f"Switch parameters must be SwitchParameters, not {parameters!r}")
        self._parameters = parameters
        ports = range(parameters.ports)
        table = data.StructLayout({"group": 8, "members": parameters.ports})
        units = {"refused_contributions": Out(32).array(parameters.ports), "crowded": Out(32).array(parameters.ports)}
        super().__init__(
            {
                **{f"i_{port}": stream_in(Flit).array(len(Channel)) for port in ports},
                **{f"o_{port}": stream_out(Flit).array(len(Channel)) for port in ports},
                **({"configure": stream_in(table)} if parameters.buses else {}),
                "up": In(parameters.ports, init=(1 << parameters.ports) - 1),
                "refused": Out(32).array(parameters.ports),
                **(units if parameters.reduces else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        allow_wide_modules()
        m = Module()
        size = self.parameters
        planes = [Plane(parameters=size, channel=channel) for channel in Channel]
        m.submodules.requests, m.submodules.responses = requests, responses = planes
        up = Signal(size.ports, init=(1 << size.ports) - 1)
        groups = [Signal(size.ports, name=f"group_{index}") for index in range(size.groups)]
        m.d.sync += up.eq(self.up)
        if size.buses:
            m.d.comb += self.configure.ready.eq(1)
            for index, group in enumerate(groups):
                with m.If(self.configure.valid & (self.configure.payload.group == index)):
                    m.d.sync += group.eq(self.configure.payload.members)
        for channel, plane in zip(Channel, planes, strict=True):
            m.d.comb += plane.up.eq(up)
            m.d.comb += [here.eq(group) for here, group in zip(plane.members, groups, strict=True)]
            for port in range(size.ports):
                connect(m, wiring.flipped(getattr(self, f"i_{port}")[channel]), plane.i[port])
                connect(m, plane.o[port], wiring.flipped(getattr(self, f"o_{port}")[channel]))
        if size.reduces:
            self._units(m, requests, responses)
        for port in range(size.ports):
            connect(m, requests.refusal[port], responses.refusal[port])
            m.d.sync += self.refused[port].eq(requests.refused[port] + responses.refused[port])
        return m

    def _units(self, m: Module, requests: Plane, responses: Plane) -> None:
        """The reduction unit of each port between the two channels."""
        for port in range(self.parameters.ports):
            m.submodules[f"unit_{port}"] = unit = Shared(ReductionUnit(parameters=self.parameters))
            connect(m, requests.reduce[port], unit.i)
            for source, target in zip(unit.result, responses.result[port], strict=True):
                connect(m, source, target)
            m.d.comb += [self.refused_contributions[port].eq(unit.refused), self.crowded[port].eq(unit.crowded)]
