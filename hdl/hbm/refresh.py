"""Refresh of the banks of a pseudo-channel."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from .commands import Geometry, RefreshMode
from .cycles import Cycles
from .parts import WithCycles, WithGeometry
from .select import RoundRobin, index_of
from .timer import timer


class RefreshWork(enum.Enum, shape=2):
    """What the scheduler asks for."""

    NONE = 0
    CLOSE = 1
    REFRESH = 2
    MANAGE = 3


class Refresh(WithGeometry, WithCycles, wiring.Component):
    """Refreshes the banks, one after the other or all at once.

    Per bank: each is owed a refresh every tREFI, their times spread evenly. A bank for which no
    request waits is refreshed when it is owed one and `preferred`, or owed half of `postpone`, but
    only half a bank's share of tREFI after the last command issued here. One that is owed
    `postpone` of them is `held`, closed and refreshed at once. Banks of equal urgency take turns.
    If requests come for a bank that is not `held`, it is left alone again.

    All banks: they are owed a refresh together every tREFI. When they are owed one and no request
    waits, or are owed `postpone`, all are held, closed (PREA) and refreshed (REFAB).

    Refresh management goes like a refresh of the bank, in every mode: a bank that is `managing`
    when no request waits for it, one that is `blocked` at once. A REFPB serves for it where one is
    owed too.

    Latency: 2 cycles from its cause to the work on a bank. After reset no refresh is owed.

    Parameters
    ----------
    geometry : address fields.
    cycles : distances between commands, tREFI and `postpone`.

    Members
    -------
    mode : `RefreshMode`, to be set while nothing else goes on; it counts from the next cycle on.
        OFF forgets what is owed.
    open, can_precharge, can_refresh, managing, blocked : one bit a bank index, as `BankTable` gives
        them.
    busy : one bit a bank index: requests wait for it.
    preferred : one bit a bank index: a good moment for its refresh.
    spaced : a REFPB or RFMPB may be issued, as far as the pseudo-channel goes.
    quiet, calm : it is in no ACT's way, or little. One that could go waits for `quiet` for 16
        cycles, for either for 15 more, then for `spaced` alone.
    work : the command asked for in this cycle: CLOSE is PRE, REFRESH is REFPB, MANAGE is RFMPB.
    all : it is for all banks: CLOSE is PREA, REFRESH is REFAB.
    index : its bank.
    done : it is issued. Not with `work` NONE.
    held : no column command and no ACT to the bank `index`.
    held_all : none to any bank.
    """

    def __init__(self, *, geometry: Geometry, cycles: Cycles):
        self._geometry, self._cycles = geometry, cycles
        indices = 1 << geometry.index_bits
        vectors = ("open", "busy", "preferred", "can_precharge", "can_refresh", "managing", "blocked")
        super().__init__(
            {
                "mode": In(RefreshMode),
                **{name: In(indices) for name in vectors},
                "spaced": In(1),
                "quiet": In(1),
                "calm": In(1),
                "work": Out(RefreshWork),
                "index": Out(geometry.index_bits),
                "all": Out(1),
                "done": In(1),
                "held": Out(1),
                "held_all": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        indices = 1 << self.geometry.index_bits
        owed, half, limit = Signal(indices), Signal(indices), Signal(indices)
        served = Signal(indices)
        m.submodules.turn = turn = RoundRobin(inputs=indices)
        due, late, must, one_by_one = (Signal(indices, name=name) for name in ("due", "late", "must", "one_by_one"))
        current, forced = Signal(indices), Signal()
        mode = Signal(RefreshMode)
        m.d.sync += mode.eq(self.mode)  # or all that follows from it would hang on a port
        # as many banks at once as it takes on average, and not all that just became idle
        paced = timer(m, "pace", [(self.done, self.cycles.refi // self.geometry.bank_count // 2)])
        m.d.comb += [
            one_by_one.eq(Mux(mode == RefreshMode.PER_BANK, ~0, 0)),
            due.eq(Mux(paced, ((owed & one_by_one & self.preferred) | self.managing) & ~self.busy, 0)),
            late.eq(Mux(paced, half & one_by_one & ~self.busy, 0)),
            must.eq((limit & one_by_one) | self.blocked),
            self.index.eq(index_of(m, current, name="current_index")),
        ]
        urgent, wanted = Signal(), Signal(indices)
        m.d.sync += [urgent.eq(must != 0), wanted.eq(Mux(must != 0, must, Mux(due != 0, due, late)))]
        m.d.comb += turn.requests.eq(wanted)
        self._count(m, mode, owed=owed, half=half, limit=limit, served=served)
        refreshes, is_open = (current & owed & one_by_one) != 0, (current & self.open) != 0
        in_use = (current & self.busy) != 0
        waited = Signal(5)
        with m.FSM():
            with m.State("CHOOSE"):
                m.d.comb += turn.taken.eq(1)
                m.d.sync += [current.eq(turn.picked), forced.eq(urgent), waited.eq(0)]
                with m.If((mode == RefreshMode.ALL_BANK) & ((limit != 0) | ((owed != 0) & ~self.busy.any()))):
                    m.next = "ALL"
                with m.Elif(turn.picked != 0):
                    m.next = "BANK"
            with m.State("BANK"):
                m.d.comb += self.held.eq(forced)
                with m.If(~forced & in_use):
                    m.next = "CHOOSE"
                with m.Elif(is_open):
                    m.d.comb += self.work.eq(Mux((current & self.can_precharge) != 0, RefreshWork.CLOSE, 0))
                with m.Elif((current & self.can_refresh) != 0):
                    m.d.sync += waited.eq(waited + ~waited.all())
                    with m.If(self.spaced & (self.quiet | (self.calm & waited[-1]) | waited.all())):
                        m.d.comb += self.work.eq(Mux(refreshes, RefreshWork.REFRESH, RefreshWork.MANAGE))
                    with m.If(self.done):
                        m.d.comb += served.eq(Mux(refreshes, current, 0))
                        m.next = "SETTLE"
            with m.State("ALL"):
                m.d.comb += [self.held_all.eq(1), self.all.eq(1)]
                with m.If(self.open != 0):
                    settled = (self.open & ~self.can_precharge) == 0
                    m.d.comb += self.work.eq(Mux(settled, RefreshWork.CLOSE, RefreshWork.NONE))
                with m.Elif(self._all_can_refresh()):
                    m.d.comb += self.work.eq(RefreshWork.REFRESH)
                    with m.If(self.done):
                        m.d.comb += served.eq(~0)
                        m.next = "SETTLE"
            with m.State("SETTLE"):  # until what is chosen from knows of the command
                m.next = "CHOOSE"
        return m

    def _all_can_refresh(self) -> Value:
        return self.can_refresh[: self.geometry.bank_count].all()

    def _count(
        self, m: Module, mode: enum.EnumView, *, owed: Signal, half: Signal, limit: Signal, served: Signal
    ) -> None:
        """Count the refreshes that each bank is owed; with REFAB all banks count alike."""
        banks, c = self.geometry.bank_count, self.cycles
        share, rest = divmod(c.refi, banks)
        time = Signal(range(share + rest))
        turn = Signal(range(banks))
        ticks, all_banks = Signal(), Signal()
        m.d.comb += [
            ticks.eq(time == Mux(turn == banks - 1, share + rest - 1, share - 1)),
            all_banks.eq(mode == RefreshMode.ALL_BANK),
        ]
        m.d.sync += time.eq(Mux(ticks, 0, time + 1))
        with m.If(ticks):
            m.d.sync += turn.eq(Mux(turn == banks - 1, 0, turn + 1))
        for bank in range(banks):
            count = Signal(range(c.postpone + 2), name=f"owed_{bank}")
            added = ticks & (turn == Mux(all_banks, banks - 1, bank))
            with m.If(mode == RefreshMode.OFF):
                m.d.sync += count.eq(0)
            with m.Else():
                m.d.sync += count.eq(count + added - (served[bank] & (count != 0)))
            m.d.comb += [
                owed[bank].eq(count != 0),
                half[bank].eq(count >= max(1, c.postpone // 2)),
                limit[bank].eq(count >= c.postpone),
            ]
