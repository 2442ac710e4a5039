"""One channel of the switch: its inputs, crossbar, buses and outputs."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Channel
from mtia.switch import SwitchParameters

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.shared import Shared
from ..link.flit import Flit
from .buses import Buses
from .crossbar import Crossbar
from .input_port import InputPort
from .matching import Matching
from .output_port import OutputPort
from .parts import WithChannel, WithParameters
from .route import Refusal


class Plane(WithParameters, WithChannel, wiring.Component):
    """Everything of one channel; the two channels of a switch share nothing but the reduction units.

    Latency 4 cycles from input to output where both are idle, 5 of a multicast; a flit a cycle at
    every output. Packets of one input, output or group keep their order.

    Parameters
    ----------
    parameters : of the switch.
    channel : REQUEST or RESPONSE.

    Members
    -------
    i, o : for each port, streams of flits from and to its link.
    up : links that are up.
    members : for each group, the ports that are of it.
    refusal : for each port, stream of `Refusal`: out on channel REQUEST, in on channel RESPONSE.
    refused : for each port, packets from it that were refused.
    reduce : for each port, stream of contributions to its unit (channel REQUEST, where the switch
        reduces).
    result : for each port and bus, stream of packets of its unit (channel RESPONSE, where the
        switch reduces).
    """

    def __init__(self, *, parameters: SwitchParameters, channel: Channel):
        self._parameters = parameters
        self._channel = Channel(channel)
        ports, buses = parameters.ports, parameters.buses
        is_request = self._channel == Channel.REQUEST
        reduces = {"reduce": stream_out(Flit).array(ports)}
        if not is_request:
            reduces = {"result": stream_in(Flit).array(ports, buses)}
        super().__init__(
            {
                "i": stream_in(Flit).array(ports),
                "o": stream_out(Flit).array(ports),
                "up": In(ports),
                "members": In(ports).array(parameters.groups),
                "refusal": (stream_out(Refusal) if is_request else stream_in(Refusal)).array(ports),
                "refused": Out(32).array(ports),
                **(reduces if parameters.reduces else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self.parameters
        sizes = {"inputs": size.ports, "outputs": size.queues}
        m.submodules.matching = matching = Shared(Matching(**sizes))
        m.submodules.crossbar = crossbar = Shared(Crossbar(shape=Flit, **sizes))
        inputs = [Shared(InputPort(parameters=size, channel=self.channel)) for _ in range(size.ports)]
        outputs = [Shared(OutputPort(parameters=size, channel=self.channel)) for _ in range(size.ports)]
        rooms: list[Value] = [output.room for output in outputs]
        if size.buses:
            m.submodules.buses = buses = Shared(Buses(parameters=size, channel=self.channel))
            rooms.append(buses.i_room)
            self._buses(m, buses, crossbar, outputs)
        room = Signal(size.queues)
        m.d.comb += room.eq(Cat(rooms))
        m.d.comb += [here.eq(there) for here, there in zip(crossbar.select, matching.select, strict=True)]
        for index, each in enumerate(inputs):
            m.submodules[f"input_{index}"] = each
            connect(m, wiring.flipped(self.i[index]), each.i)
            m.d.comb += [
                *(each.port.eq(index), each.up.eq(self.up), each.room.eq(room)),
                each.member.eq(Cat(members[index] for members in self.members)),
                *(matching.request[index].eq(each.request), matching.is_free[index].eq(each.is_free)),
                *(each.start.eq(matching.start[index]), self.refused[index].eq(each.refused)),
                *(crossbar.i[index].eq(each.o), crossbar.i_target[index].eq(each.o_target)),
                matching.ends[index].eq(each.ends),
            ]
        for index, output in enumerate(outputs):
            m.submodules[f"output_{index}"] = output
            connect(m, output.o, wiring.flipped(self.o[index]))
            m.d.comb += [
                *(output.i.eq(crossbar.o[index]), output.i_valid.eq(crossbar.o_valid[index])),
                output.up.eq(self.up[index]),
            ]
        self._others(m, inputs, outputs)
        return m

    def _buses(self, m: Module, buses: Shared, crossbar: Shared, outputs: list[Shared]) -> None:
        """The buses between the last columns of the crossbar and the outputs."""
        ports = self.parameters.ports
        m.d.comb += [
            *(buses.up.eq(self.up), buses.may_begin.eq(Cat(output.may_begin for output in outputs))),
            buses.i_valid.eq(crossbar.o_valid[ports:]),
            *(there.eq(here) for there, here in zip(buses.members, self.members, strict=True)),
        ]
        for bus in range(self.parameters.buses):
            m.d.comb += buses.i[bus].eq(crossbar.o[ports + bus])
            m.d.comb += buses.o_room[bus].eq(Cat(output.bus_room[bus] for output in outputs))
            for index, output in enumerate(outputs):
                m.d.comb += [
                    *(output.bus[bus].eq(buses.o[bus]), output.bus_valid[bus].eq(buses.o_valid[bus][index])),
                    output.begins[bus].eq(buses.begins[bus][index]),
                ]

    def _others(self, m: Module, inputs: list[Shared], outputs: list[Shared]) -> None:
        """Refusals and the streams of the reduction units."""
        size = self.parameters
        for index in range(size.ports):
            if self.channel == Channel.RESPONSE:
                connect(m, wiring.flipped(self.refusal[index]), outputs[index].refusal)
            else:
                connect(m, inputs[index].refusal, wiring.flipped(self.refusal[index]))
            if size.reduces and self.channel == Channel.REQUEST:
                connect(m, outputs[index].reduce, wiring.flipped(self.reduce[index]))
            elif size.reduces:
                for bus in range(size.buses):
                    connect(m, wiring.flipped(self.result[index][bus]), m.submodules.buses.result[index][bus])
