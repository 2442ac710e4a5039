"""Timing of a pseudo-channel in controller cycles."""

from dataclasses import dataclass, fields

from mtia.hbm import TimingSet

#: CK within a controller cycle at which an ACT starts, and any other row command
ACTIVATE_CK, MAINTAIN_CK = 0, 1


@dataclass(frozen=True, kw_only=True)
class Cycles:
    """Least distances between commands of a pseudo-channel, in controller cycles of 2 CK.

    Commands start at a fixed CK of their cycle: ACT at 0, other row commands at 1, column commands
    at the number of their pseudo-channel. A constraint of n CK from one at p to one at q therefore
    is ceil((n + p - q) / 2) cycles.

    Parameters
    ----------
    rcd_read, rcd_write : ACT to column command.
    ras : ACT to PRE; at least both of those.
    rc : ACT to ACT of a bank.
    rp, rp_refresh : PRE to ACT, to REFPB or REFAB.
    rrd_short, rrd_long : ACT to ACT, of another group, of the same one.
    faw : cycles that hold at most four ACTs.
    ccd_long, ccd_sid : column command to another of its kind in the same group, in another SID.
    read_to_write : RD to WR.
    write_to_read_short, write_to_read_long : WR to RD, of another group, of the same one.
    read_to_pre, write_to_pre : column command to PRE.
    rfc_bank, rfc_all, rfm : refresh to ACT.
    rfc_bank_refresh, rfm_refresh : refresh to the next refresh of the bank.
    refresh_gap : REFPB to REFPB of another bank.
    refresh_to_act : REFPB to ACT of another bank.
    act_to_refresh, rc_refresh : ACT to REFPB of another bank, of the same one.
    read_latency : RD to its data at the pins.
    refi : time in which a bank is owed a refresh.
    postpone : refreshes that may be owed.
    raaimt, raammt : activations to a refresh management, when it may and when it must come; 0 where
        there is none.

    Raises ValueError for a distance that is no number from 0, and for a `ras` that is too short.
    """

    rcd_read: int
    rcd_write: int
    ras: int
    rc: int
    rp: int
    rp_refresh: int
    rrd_short: int
    rrd_long: int
    faw: int
    ccd_long: int
    ccd_sid: int
    read_to_write: int
    write_to_read_short: int
    write_to_read_long: int
    read_to_pre: int
    write_to_pre: int
    rfc_bank: int
    rfc_all: int
    rfm: int
    rfc_bank_refresh: int
    rfm_refresh: int
    refresh_gap: int
    refresh_to_act: int
    act_to_refresh: int
    rc_refresh: int
    read_latency: int
    refi: int
    postpone: int
    raaimt: int
    raammt: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{field.name} must be at least 0, not {value!r}")
        if max(self.rcd_read, self.rcd_write) > self.ras:
            raise ValueError(f"ras must be at least rcd_read and rcd_write, not {self.ras!r}")

    @property
    def sids_alternate(self) -> bool:
        """Whether a column command of another SID may follow in the next cycle."""
        return self.ccd_sid <= 1

    @classmethod
    def of(cls, timing: TimingSet, *, pc: int) -> "Cycles":
        """The distances that a timing set asks of pseudo-channel `pc` (0 or 1)."""
        column, act, maintain = pc, ACTIVATE_CK, MAINTAIN_CK
        t = timing.__getitem__
        after_write = t("CWL") + t("BL")
        return cls(
            rcd_read=_apart(t("RCDRD"), act, column),
            rcd_write=_apart(t("RCDWR"), act, column),
            ras=_apart(t("RAS"), act, maintain),
            rc=_apart(t("RC"), act, act),
            rp=_apart(t("RP"), maintain, act),
            rp_refresh=_apart(t("RP"), maintain, maintain),
            rrd_short=_apart(t("RRDS"), act, act),
            rrd_long=_apart(t("RRDL"), act, act),
            faw=_apart(t("FAW"), act, act),
            ccd_long=_apart(t("CCDL"), column, column),
            ccd_sid=_apart(t("CCDR"), column, column),
            read_to_write=_apart(t("RTW"), column, column),
            write_to_read_short=_apart(after_write + t("WTRS"), column, column),
            write_to_read_long=_apart(after_write + t("WTRL"), column, column),
            read_to_pre=_apart(t("RTP"), column, maintain),
            write_to_pre=_apart(after_write + t("WR"), column, maintain),
            rfc_bank=_apart(t("RFCPB"), maintain, act),
            rfc_all=_apart(t("RFCAB"), maintain, act),
            rfm=_apart(t("RFM"), maintain, act),
            rfc_bank_refresh=_apart(t("RFCPB"), maintain, maintain),
            rfm_refresh=_apart(t("RFM"), maintain, maintain),
            refresh_gap=_apart(t("RREFD"), maintain, maintain),
            refresh_to_act=_apart(t("RREFD"), maintain, act),
            act_to_refresh=_apart(t("RRDL"), act, maintain),
            rc_refresh=_apart(t("RC"), act, maintain),
            read_latency=-(-(t("CL") + t("BL")) // 2),
            refi=t("REFI") // 2,
            postpone=timing.refresh_postpone,
            raaimt=timing.raaimt,
            raammt=timing.raammt,
        )


def _apart(ck: int, start: int, end: int) -> int:
    """Cycles from a command at CK `start` of its cycle to one at CK `end`, at least `ck` apart."""
    return max(0, -(-(ck + start - end) // 2))
