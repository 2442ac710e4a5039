"""What a pseudo-channel as a whole may do in a cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .commands import Geometry
from .cycles import Cycles
from .parts import WithCycles, WithGeometry
from .timer import timer


class ColumnLimits(WithGeometry, WithCycles, wiring.Component):
    """Distances between column commands: tCCD, tRTW, tWTR.

    tCCD_L and tWTR_L hold within a group of one SID; here for groups of equal number in all SIDs,
    but where SIDs may follow each other at once (tCCD_R of a burst) their groups are told apart.
    What a command forbids is forbidden from the next cycle on. After reset all may go.

    Parameters
    ----------
    geometry : address fields.
    cycles : the distances.

    Members
    -------
    read, write, index : a column command is issued, of the bank `index`.
    can_read, can_write : one of the kind may be issued now, as far as the whole pseudo-channel
        goes.
    read_blocked, write_blocked : groups that take none of the kind now.
    sid : SID of the last column command.
    sid_only : no other SID may have one of its kind now.
    """

    def __init__(self, *, geometry: Geometry, cycles: Cycles):
        self._geometry, self._cycles = geometry, cycles
        groups = geometry.column_groups(by_sid=cycles.sids_alternate)
        super().__init__(
            {
                "read": In(1),
                "write": In(1),
                "index": In(geometry.index_bits),
                "can_read": Out(1),
                "can_write": Out(1),
                "read_blocked": Out(groups),
                "write_blocked": Out(groups),
                "sid": Out(geometry.sid_bits),
                "sid_only": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c, sid = self.cycles, self.geometry.split(self.index)["sid"]
        issued = Signal()
        m.d.comb += [
            issued.eq(self.read | self.write),
            self.can_read.eq(timer(m, "to_read", [(self.write, c.write_to_read_short)])),
            self.can_write.eq(timer(m, "to_write", [(self.read, c.read_to_write)])),
            self.sid_only.eq(~timer(m, "to_sid", [(issued, c.ccd_sid)])),
        ]
        with m.If(issued):
            m.d.sync += self.sid.eq(sid)
        for group in range(len(self.read_blocked)):
            mine = Signal(name=f"group_{group}")
            m.d.comb += mine.eq(self.geometry.column_group(self.index, by_sid=c.sids_alternate) == group)
            reads = [(self.read & mine, c.ccd_long), (self.write & mine, c.write_to_read_long)]
            writes = [(self.write & mine, c.ccd_long)]
            m.d.comb += [
                self.read_blocked[group].eq(~timer(m, f"to_read_{group}", reads)),
                self.write_blocked[group].eq(~timer(m, f"to_write_{group}", writes)),
            ]
        return m


class RowLimits(WithGeometry, WithCycles, wiring.Component):
    """Distances between row commands: tRRD, tFAW, tRREFD.

    The window of tFAW is that of the pseudo-channel; where it is a SID's it is never shorter. What
    a command forbids is forbidden from the next cycle on. After reset all may go.

    Parameters
    ----------
    geometry : address fields.
    cycles : the distances.

    Members
    -------
    activate, refresh, index : an ACT, a REFPB or RFMPB is issued, of the bank `index`.
    can_activate : an ACT may be issued now.
    act_blocked : but not in these groups, of all SIDs.
    can_refresh : a REFPB or RFMPB may be issued now.
    quiet, calm : no ACT may for some cycles, by tFAW: a third of it, a sixth.
    """

    def __init__(self, *, geometry: Geometry, cycles: Cycles):
        self._geometry, self._cycles = geometry, cycles
        super().__init__(
            {
                "activate": In(1),
                "refresh": In(1),
                "index": In(geometry.index_bits),
                "can_activate": Out(1),
                "act_blocked": Out(geometry.bank_groups),
                "can_refresh": Out(1),
                "quiet": Out(1),
                "calm": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.cycles
        spaced = timer(m, "to_activate", [(self.activate, c.rrd_short), (self.refresh, c.refresh_to_act)])
        # ACTs of the last faw - 1 cycles
        history = Signal(max(1, c.faw - 1))
        recent = Signal(range(5))
        m.d.sync += [
            history.eq(Cat(self.activate, history)),
            recent.eq(recent + self.activate - history[-1]),
        ]
        # four ACTs in the window, of which the oldest is in it for another third, or sixth, of it at least
        m.d.comb += [
            self.quiet.eq((recent == 4) & (history[c.faw * 2 // 3 :] == 0)),
            self.calm.eq((recent == 4) & (history[c.faw * 5 // 6 :] == 0)),
            self.can_activate.eq(spaced & (recent < 4)),
            self.can_refresh.eq(
                timer(m, "to_refresh", [(self.activate, c.act_to_refresh), (self.refresh, c.refresh_gap)])
            ),
        ]
        group = self.geometry.split(self.index)["bank_group"]
        for number in range(self.geometry.bank_groups):
            ready = timer(m, f"to_group_{number}", [(self.activate & (group == number), c.rrd_long)])
            m.d.comb += self.act_blocked[number].eq(~ready)
        return m
