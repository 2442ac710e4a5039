"""What tests of collectives on a domain share: the node, sizes to exchange, what a result must be."""

import functools

import numpy as np
from numpy.typing import NDArray

from mtia.collectives import Collective
from mtia.link import LinkParameters
from mtia.message_profiles import of
from tb.message.collective import JobResult
from tb.message.port import NodeAndPort
from tb.ports import Design, design_of

PARAMETERS = of("sim")
#: a packet of the switch's reductions at this size
PIECE = 992


@functools.cache
def node() -> Design:
    """A node of the domain at sim size."""
    return design_of(NodeAndPort(parameters=PARAMETERS, link=LinkParameters()), name="node")


def sizes_of(collective: Collective, rng: np.random.Generator, *, ranks: int, atoms: int) -> NDArray[np.uint32] | None:
    """Random bytes from each rank to each, of an all-to-all-v of at most so many atoms a rank; None for any other."""
    if collective is not Collective.ALLTOALLV:
        return None
    return rng.integers(0, 32 * -(-atoms // ranks) + 1, (ranks, ranks), np.uint32)


def check(result: JobResult) -> None:
    """Every command ended well and every byte is golden's."""
    assert not result.failures, result.failures[0]
    assert result.mismatches == 0, f"{result.job}: {result.first_mismatch}"
