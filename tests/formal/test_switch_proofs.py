"""The proofs of the switch's control find what they are for."""

import importlib.util
import shutil

import pytest
from amaranth.hdl import Module

from formal.run import PROOFS, environment, run
from hdl.core.fifo import Queue
from hdl.hbm.select import RoundRobin, lowest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pysat") is None or shutil.which("yowasp-sby", path=environment()["PATH"]) is None,
    reason="needs what `./dev nox -s formal` installs",
)


class FixedPriority(RoundRobin):
    """Whose turn never moves on."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.picked.eq(lowest(self.requests))
        return m


class AllAtOnce(RoundRobin):
    """Who picks whoever asks, all at once."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.picked.eq(self.requests)
        return m


#: proof -> what is put in place of what
BUGS = {
    "turns": ("formal.switch.RoundRobin", FixedPriority),
    "switch-matching": ("hdl.switch.matching.RoundRobin", FixedPriority),
    "switch-matching, two at once": ("hdl.switch.matching.RoundRobin", AllAtOnce),
    "switch-room": ("hdl.switch.output_port.Queue", lambda *, shape, depth: Queue(shape=shape, depth=depth - 1)),
    "switch-places": ("hdl.switch.places.lowest", lambda free: lowest(~free)),
    "switch-meeting": ("hdl.switch.meeting._nodes", lambda parameters: 1),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found(bug, monkeypatch, tmp_path):
    name, _, _ = bug.partition(",")
    place, wrong = BUGS[bug]
    monkeypatch.setattr(place, wrong)
    (proof,) = (each for each in PROOFS if each.name == name)
    assert not run(proof, folder=tmp_path).holds
