"""A stand-in for the controller of an HBM channel: plays commands at given cycles and keeps what is read."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.hbm.commands import ColumnOp, Geometry, MaintainOp
from mtia import hbm
from mtia.hbm import TimingSet
from tb.beats import pack
from tb.lane import Lane
from tb.models.hbm import HbmDevice

#: Room for every set: one model serves them all.
GEOMETRY = Geometry(sids=8, bank_groups=4, banks=8, rows=32768, columns=32)
CODED = data.StructLayout({"data": 256, "check": 10})
SLOTS = data.StructLayout(
    {
        "activate": GEOMETRY.activate(),
        "maintain": GEOMETRY.maintain(),
        "column_0": GEOMETRY.column(),
        "column_1": GEOMETRY.column(),
    }
)


class Player(wiring.Component):
    """Puts each beat of ``slots`` on the command slots in the next cycle, and the words of its writes with it.

    Members
    -------
    slots : commands of a cycle; write_0, write_1 : words for the writes, in order; read_0, read_1 : words read.
    The rest is the device side of a channel.
    """

    def __init__(self):
        ports = {"slots": In(stream.Signature(SLOTS, always_ready=True))}
        ports |= {name: Out(SLOTS[name].shape) for name in SLOTS.members}
        for pc in range(2):
            ports |= {
                f"write_{pc}": In(stream.Signature(CODED)),
                f"read_{pc}": Out(stream.Signature(CODED, always_ready=True)),
                f"write_data_{pc}": Out(256),
                f"write_check_{pc}": Out(10),
                f"read_valid_{pc}": In(1),
                f"read_data_{pc}": In(256),
                f"read_check_{pc}": In(10),
            }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name in SLOTS.members:
            slot = Value.cast(getattr(self, name))
            m.d.sync += slot.eq(Mux(self.slots.valid, Value.cast(self.slots.payload[name]), 0))
        for pc in range(2):
            write, read = getattr(self, f"write_{pc}"), getattr(self, f"read_{pc}")
            m.d.comb += [
                write.ready.eq(self.slots.valid & (self.slots.payload[f"column_{pc}"].op == ColumnOp.WR)),
                read.valid.eq(getattr(self, f"read_valid_{pc}")),
                read.payload.data.eq(getattr(self, f"read_data_{pc}")),
                read.payload.check.eq(getattr(self, f"read_check_{pc}")),
            ]
            with m.If(write.ready):
                m.d.sync += getattr(self, f"write_data_{pc}").eq(write.payload.data)
                m.d.sync += getattr(self, f"write_check_{pc}").eq(write.payload.check)
        return m


#: A command: the cycle in which it stands in its slot, its name, and fields (pc, sid, bank_group, bank, row, column).
Command = tuple[int, str, Mapping[str, int]]


def offset(name: str, pc: int) -> int:
    """CK within the cycle at which a command comes."""
    return {"ACT": 0, "RD": pc, "WR": pc}.get(name, 1)


class Playback:
    """A player and a device in one lane."""

    def __init__(self, timing: TimingSet, **options: Any) -> None:
        self.timing = timing
        self.device = HbmDevice(timing=timing, **options)
        self.lane = Lane(Player(), name="player", models=[self.device])

    def play(
        self,
        commands: Sequence[Command],
        *,
        writes: Mapping[int, Any] | None = None,
        after: int = 40,
        reset: bool = True,
    ) -> None:
        """Play commands, sorted or not, from a reset on (in cycles after it) and run ``after`` cycles more.

        ``writes`` are (data uint32 (n, 8), check (n,)) for each pseudo-channel, in the order of its WR.
        """
        if reset:
            self.lane.reset()
        for pc, (words, check) in (writes or {}).items():
            self.lane.push(f"write_{pc}", pack(CODED, {"data": np.asarray(words), "check": np.asarray(check)}))
        beats: dict[int, dict[str, dict[str, int]]] = {}
        for cycle, name, fields in commands:
            slot, values = _slot(name, dict(fields))
            taken = beats.setdefault(cycle, {})
            assert slot not in taken, f"two commands in {slot} of cycle {cycle}"
            taken[slot] = values
        cycles = sorted(beats)
        assert cycles[0] >= 1, "the first cycle after a reset has no commands"
        columns = {slot: _columns(slot, [beats[cycle].get(slot, {}) for cycle in cycles]) for slot in SLOTS.members}
        self.lane.push("slots", pack(SLOTS, columns), not_before=np.array(cycles) - 1)
        self.lane.run(record=True)
        self.lane.run(cycles=after, record=True)

    def reads(self, pc: int) -> Any:
        """Words that came back: fields data and check."""
        return self.lane.pull_fields(f"read_{pc}")


def _slot(name: str, fields: dict[str, int]) -> tuple[str, dict[str, int]]:
    if name == "ACT":
        return "activate", {"valid": 1, **fields}
    if name in ("RD", "WR"):
        fields.pop("row", None)
        return f"column_{fields.pop('pc', 0)}", {"op": ColumnOp[name].value, **fields}
    return "maintain", {"op": MaintainOp[name].value, **fields}


def _columns(slot: str, rows: list[dict[str, int]]) -> dict[str, Any]:
    return {name: np.array([row.get(name, 0) for row in rows]) for name in SLOTS[slot].shape.members}


HBM3 = hbm.get("HBM3-6.4")
#: Distances of one cycle leave no room for "one cycle too early": a set in which all are longer.
STRETCHED = dataclasses.replace(HBM3.with_parameters(CCDS=5, CCDL=7, CCDR=6, PPD=6), name="stretched")
SETS = {timing.name: timing for timing in (*(hbm.get(name) for name in hbm.names()), STRETCHED)}

_kept = functools.cache(lambda name: Playback(SETS[name], refresh="off"))


def shared(name: str, *, strict: bool = True) -> Playback:
    """The playback of a set without refresh that tests share, without bit errors."""
    found = _kept(name)
    found.device.set_strict(strict)
    found.device.clear_faults()
    return found


def open_bank(cycle: int = 10, **fields: int) -> Command:
    """An ACT early in a story."""
    return (cycle, "ACT", fields)
