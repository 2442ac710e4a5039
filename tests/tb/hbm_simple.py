"""The smallest controller of an HBM channel: one request at a time, its row opened and closed for it."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.hbm.commands import ColumnOp, Geometry, MaintainOp, MemoryOp
from hdl.hbm.port import MemoryPort

#: Cycles from ACT to the column command, from it to PRE, and from there on: enough for HBM3-6.4.
WAIT = 32


class Simple(wiring.Component):
    """Serves the two ports in turn, one request at a time, without refresh; check bits are 0.

    A request with ``kind`` 1 is answered late: after the next but one was accepted. The address is, from the lowest
    bit up, column 5, bank 2, bank group 2, SID 1, row 14.
    """

    def __init__(self, *, tag_bits: int = 8):
        self._port = MemoryPort(address_bits=24, tag_bits=tag_bits)
        geometry = Geometry(sids=2, bank_groups=4, banks=4, rows=16384, columns=32)
        ports = {"activate": Out(geometry.activate()), "maintain": Out(geometry.maintain()), "idle": Out(1)}
        for pc in range(2):
            ports |= {
                f"request_{pc}": In(stream.Signature(self._port.request())),
                f"response_{pc}": Out(stream.Signature(self._port.response())),
                f"column_{pc}": Out(geometry.column()),
                f"write_data_{pc}": Out(256),
                f"write_check_{pc}": Out(10),
                f"read_valid_{pc}": In(1),
                f"read_data_{pc}": In(256),
                f"read_check_{pc}": In(10),
            }
        super().__init__(ports)

    @property
    def tag_bits(self) -> int:
        """Bits of a tag."""
        return self._port.tag_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, pc = Signal(self._port.request()), Signal()
        answer, late, late_pc, is_late, age = Signal(256), Signal(self._port.response()), Signal(), Signal(), Signal(2)
        timer, column, answering, releasing = Signal(range(WAIT)), Signal(), Signal(), Signal()
        m.d.sync += [timer.eq(timer - (timer != 0)), self.activate.valid.eq(0), self.maintain.op.eq(MaintainOp.NOP)]
        with m.FSM() as fsm:
            with m.State("ACCEPT"):
                m.d.sync += pc.eq(~pc)
                for port in range(2):
                    offered = getattr(self, f"request_{port}")
                    m.d.comb += offered.ready.eq(pc == port)
                    with m.If(offered.valid & offered.ready):
                        m.d.sync += [request.eq(offered.payload), pc.eq(pc), age.eq(age + 1)]
                        m.next = "OPEN"
                        with m.If(is_late & (age == 1)):
                            m.next = "RELEASE"
            with m.State("RELEASE"):
                m.d.comb += releasing.eq(1)
                with m.If(Mux(late_pc, self.response_1.ready, self.response_0.ready)):
                    m.d.sync += is_late.eq(0)
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.sync += [self.activate.valid.eq(1), timer.eq(WAIT - 1)]
                m.next = "COLUMN"
            with m.State("COLUMN"):
                with m.If(timer == 0):
                    m.d.comb += column.eq(1)
                    m.d.sync += timer.eq(WAIT - 1)
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If(timer == 0):
                    m.d.sync += [self.maintain.op.eq(MaintainOp.PRE), timer.eq(WAIT - 1)]
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                with m.If((request.kind == 1) & (timer == 0)):
                    m.d.sync += [
                        late.tag.eq(request.tag),
                        late.data.eq(answer),
                        late_pc.eq(pc),
                        is_late.eq(1),
                        age.eq(0),
                    ]
                    m.next = "ACCEPT"
                with m.Elif(timer == 0):
                    m.d.comb += answering.eq(1)
                    with m.If(Mux(pc, self.response_1.ready, self.response_0.ready)):
                        m.next = "ACCEPT"
        m.d.comb += self.idle.eq(fsm.ongoing("ACCEPT") & ~is_late)
        bank = request.address[5:]
        where = {"bank": bank[:2], "bank_group": bank[2:4], "sid": bank[4]}
        m.d.sync += [slot[name].eq(value) for slot in (self.activate, self.maintain) for name, value in where.items()]
        m.d.sync += [self.activate.pc.eq(pc), self.maintain.pc.eq(pc), self.activate.row.eq(request.address[10:])]
        for port in range(2):
            slot, response = getattr(self, f"column_{port}"), getattr(self, f"response_{port}")
            operation = Mux(request.op == MemoryOp.WR, ColumnOp.WR, ColumnOp.RD)
            m.d.sync += slot.op.eq(Mux(column & (pc == port), operation, ColumnOp.NOP))
            m.d.sync += [*(slot[name].eq(value) for name, value in where.items()), slot.column.eq(request.address)]
            m.d.sync += getattr(self, f"write_data_{port}").eq(request.data)
            with m.If(getattr(self, f"read_valid_{port}")):
                m.d.sync += answer.eq(getattr(self, f"read_data_{port}"))
            released = releasing & (late_pc == port)
            m.d.comb += [
                response.valid.eq(released | (answering & (pc == port))),
                response.payload.tag.eq(Mux(released, late.tag, request.tag)),
                response.payload.data.eq(Mux(released, late.data, answer)),
            ]
        return m
