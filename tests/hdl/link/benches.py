"""The links that the tests share, so that each is built once."""

import functools

from mtia.link import LinkParameters
from tb.link.bench import LinkBench

#: as large as on the chip
FULL = LinkParameters()
#: numbers wrap and buffers fill soon
SMALL = LinkParameters(flit_bits=32, sequence_bits=5, credit_bits=4, replay=8, buffer=8, wire=4, retries=3)


@functools.cache
def bench(parameters: LinkParameters, other: LinkParameters | None = None) -> LinkBench:
    """A bench of these links; whoever takes it resets it."""
    return LinkBench(parameters=parameters, other=other)
