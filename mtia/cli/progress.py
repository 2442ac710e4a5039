"""What a person sees on standard error while a command works."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

#: seconds before a wait is explained, and before a bar appears
PATIENCE = 8.0
_BAR_AFTER = 1.0
_BAR_EVERY = 0.1
_BAR_WIDTH = 30


@contextlib.contextmanager
def explain_wait(text: str, patience: float | None = None) -> Iterator[None]:
    """Print a line on standard error if the block takes longer than `patience` seconds."""
    timer = threading.Timer(PATIENCE if patience is None else patience, _say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bar:
    """A bar on standard error where that is a terminal, and the work takes longer than a second.

    label: what is being done
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.shown = False
        self._started = time.monotonic()
        self._next = self._started + _BAR_AFTER

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` parts are done."""
        now = time.monotonic()
        if now < self._next or not sys.stderr.isatty():
            return
        self._next = now + _BAR_EVERY
        self.shown = True
        share = done / total
        left = (now - self._started) * (total - done) / done if done else 0.0
        filled = round(share * _BAR_WIDTH)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        print(f"\r{self.label} [{bar}] {share:4.0%}, {left:.0f} s left \x1b[K", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
