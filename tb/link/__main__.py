"""``python -m tb.link [FLITS]``: rate of a pair of links at some error rates, beside the formula of go-back-N."""

import sys
import time
from collections.abc import Sequence

import numpy as np

from mtia.link import LinkParameters

from .bench import LinkBench, all_streams

#: shares of frames that are damaged
ERROR_RATES = (0.0, 1e-4, 1e-3, 1e-2)


def main(arguments: Sequence[str], *, parameters: LinkParameters | None = None, seed: int = 1) -> int:
    """Prints the table, for so many flits on each channel of both ends (20,000 by default); returns 0."""
    flits = int(arguments[0]) if arguments else 20_000
    link = LinkBench(parameters=LinkParameters() if parameters is None else parameters)
    print(f"{'damaged':>8} {'formula':>8} {'measured':>9} {'sent again':>11} {'NAKs':>6} {'us/cycle':>9}")
    for rate in ERROR_RATES:
        link.start(damage=rate, seed=seed)
        start = time.process_time()
        cycles = link.exchange(np.random.default_rng(seed), all_streams(flits))
        spent = (time.process_time() - start) / cycles * 1e6
        counts = link.counters("a")
        row = f"{rate:8.0e} {link.parameters.rate(rate):8.3f} {2 * flits / cycles:9.3f}"
        print(f"{row} {counts['retransmitted']:11} {counts['naks']:6} {spent:9.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
