"""Small geometries and short distances for tests of the parts of a pseudo-channel's controller."""

from dataclasses import replace
from typing import Any

from hdl.hbm.commands import Geometry
from hdl.hbm.cycles import Cycles
from mtia import hbm

#: 2 SIDs of 2 groups of 2 banks
GEOMETRY = Geometry(sids=2, bank_groups=2, banks=2, rows=16, columns=8)
#: SIDs and rows that are no powers of two
ODD = Geometry(sids=3, bank_groups=2, banks=2, rows=12, columns=8)
#: distances as short as they can be told apart by
SHORT = replace(
    Cycles.of(hbm.get("HBM3-6.4"), pc=0),
    rcd_read=4,
    rcd_write=3,
    ras=6,
    rc=11,
    rp=5,
    rp_refresh=4,
    rfc_bank=13,
    rfc_all=17,
    rfm=9,
    rfc_bank_refresh=12,
    rfm_refresh=8,
    rc_refresh=10,
    read_to_pre=3,
    write_to_pre=7,
    refi=160,
    postpone=4,
    raaimt=3,
    raammt=6,
)


def bits(places: Any) -> int:
    """A number in which the bits of these places are high."""
    return sum(1 << place for place in places)
