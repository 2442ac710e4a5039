"""Built models on disk, found again by the hash of everything they were built from.

A folder is built once, under a file lock, beside its final place and then renamed into it: processes and test
workers may ask for the same model at the same time, and one that dies in the middle leaves nothing half-built.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock, Timeout

#: Bytes that all models together may use before the ones not used for longest are dropped.
DEFAULT_LIMIT = 4 << 30

#: Seconds after its last use during which a model is never dropped: someone may be about to load it.
GRACE = 600.0

#: Seconds after which a folder that was never finished counts as left over by a build that died.
ABANDONED = 86400.0


def location() -> Path:
    """Folder of the cache: MTIA_CACHE, or ``mtia`` under XDG_CACHE_HOME, or ``~/.cache/mtia``."""
    if own := os.environ.get("MTIA_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mtia"


def limit() -> int:
    """Bytes the cache may grow to: MTIA_CACHE_LIMIT, or 4 GiB."""
    text = os.environ.get("MTIA_CACHE_LIMIT")
    if text is None:
        return DEFAULT_LIMIT
    if not text.isdecimal():
        raise ValueError(f"MTIA_CACHE_LIMIT must be a number of bytes, not {text!r}")
    return int(text)


def key(parts: Iterable[str]) -> str:
    """Hash of ``parts``: the same only for the same strings in the same order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


def fetch(parts: Iterable[str], build: Callable[[Path], None]) -> Path:
    """Folder made by ``build`` from ``parts``; ``build`` runs only if no such folder is in the cache.

    ``build`` receives an empty folder to fill. When it raises, nothing is kept and the error passes on.
    """
    name = key(parts)
    models, locks = location() / "models", location() / "locks"
    models.mkdir(parents=True, exist_ok=True)
    locks.mkdir(parents=True, exist_ok=True)
    final = models / name
    with FileLock(locks / f"{name}.lock"):
        if not final.exists():
            partial = models / f".{name}.{os.getpid()}"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                build(partial)
                partial.rename(final)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            prune()
        os.utime(final)
    return final


def prune() -> list[Path]:
    """Drop the models not used for longest until the rest fits ``limit()``; returns what was dropped.

    Folders left by builds that died go too. A model used within ``GRACE`` seconds always stays. Returns at
    once when another process is at it.
    """
    models, locks = location() / "models", location() / "locks"
    dropped: list[Path] = []
    try:
        with FileLock(locks / "prune.lock", blocking=False):
            now = time.time()
            entries = sorted((path.stat().st_mtime, path) for path in models.iterdir())
            total = sum(_size(path) for _, path in entries)
            for used, path in entries:
                unfinished = path.name.startswith(".")
                idle = now - used > (ABANDONED if unfinished else GRACE)
                if idle and (unfinished or total > limit()):
                    total -= _size(path)
                    shutil.rmtree(path, ignore_errors=True)
                    dropped.append(path)
    except (Timeout, FileNotFoundError):
        pass
    return dropped


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove everything in ``folder`` but ``names``: what a build needed and its users do not."""
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
