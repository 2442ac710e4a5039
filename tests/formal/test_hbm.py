"""The proofs of the HBM channel's control logic find bugs that are put into it; skipped without SymbiYosys."""

import importlib.util
import shutil

import pytest
from amaranth.hdl import Const, Module, Signal

from formal.run import PROOFS, environment, run
from hdl.hbm import pool
from hdl.hbm.age import AgeOrder
from hdl.hbm.order import InOrder
from hdl.hbm.select import lowest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pysat") is None or shutil.which("yowasp-sby", path=environment()["PATH"]) is None,
    reason="needs what `./dev nox -s formal` installs",
)

BY_NAME = {proof.name: proof for proof in PROOFS}


def no_chain(self, m, **_):
    """Instead of the chain of an id's slots: nothing waits for another one."""
    return Signal(self.slots)


def by_place(self, platform):
    """Instead of the age of entries: the lowest place goes first."""
    m = Module()
    m.d.comb += [oldest.eq(lowest(choice)) for choice, oldest in zip(self.choice, self.oldest, strict=True)]
    return m


#: proof -> what is replaced, and by what
BUGS = {
    "hbm-age": (AgeOrder, "elaborate", by_place),
    "hbm-order": (InOrder, "_chain", no_chain),
    "hbm-pool": (pool, "lowest", lambda bits: Const(1, len(bits))),  # always the same place
}


@pytest.mark.parametrize("name", BUGS)
def test_bug_is_found(name, monkeypatch, tmp_path):
    monkeypatch.setattr(*BUGS[name])
    assert not run(BY_NAME[name], folder=tmp_path).holds
