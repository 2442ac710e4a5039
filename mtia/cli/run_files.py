"""Files of ``mtia run``: matrices in and out, the folder of a run; nothing half-written."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .common import UserError, user_errors

#: where runs with waves go when no folder is named
RUNS = Path("runs")
#: the file that makes a folder the folder of a run
RUN_FILE = "run.json"
_MAGIC = np.lib.format.MAGIC_PREFIX


def read_matrix(path: Path, role: str) -> NDArray[np.float32]:
    """A matrix of a ``.npy`` file, of shape (rows, K), as float32; `role` (A or B) names it in errors.

    Floating-point and integer elements of up to 64 bits are taken and rounded to the nearest float32.
    Raises UserError for what is no such file, another kind of element, another number of axes, an
    empty matrix, or elements that are NaN, infinite or beyond float32.
    """
    array = read_array(path, role)
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        kinds = "floating-point or integer numbers of up to 64 bits"
        raise UserError(f"{role} must hold {kinds}, not {array.dtype.name} ({path})")
    if array.ndim != 2:
        raise UserError(f"{role} must have 2 axes (rows, K), not shape {array.shape} ({path})")
    if not array.shape[1]:
        raise UserError(f"K must be at least 1, not 0: {role} has shape {array.shape} ({path})")
    if not array.shape[0]:
        raise UserError(f"{role} must have at least one row, not shape {array.shape} ({path})")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values = np.ascontiguousarray(array, np.float32)
    wrong = ~np.isfinite(values)
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        found = array[row, column]
        what = "a number beyond float32" if np.isfinite(found) else str(found)
        more = f", and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else ""
        raise UserError(f"{role} must be finite, not {what} at row {row}, column {column}{more} ({path})")
    return values


def read_array(path: Path, role: str) -> NDArray[Any]:
    """An array of a ``.npy`` file; `role` names it in errors. Raises UserError for what is no such file."""
    with user_errors(), path.open("rb") as file:
        if not file.peek(len(_MAGIC)).startswith(_MAGIC):
            raise UserError(f"{role} must be a .npy file, as numpy.save writes it, not {path}")
        try:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        except MemoryError:
            raise UserError(f"{role} must fit the memory, not be as large as {path} says") from None
        except Exception as error:  # a damaged header gives errors of many kinds
            raise UserError(f"{role} must be a sound .npy file of numbers, not {path}: {error}") from error
    return array


@contextlib.contextmanager
def output_matrix(path: Path | None, option: str = "--out") -> Iterator[list[NDArray[Any]]]:
    """Write the array that the block puts into the list as ``.npy``, at once, when the block ends well.

    The place is tried before the block runs: UserError if it cannot be written. Without a path the
    array is dropped. `option` names it in errors.
    """
    kept: list[NDArray[Any]] = []
    if path is None:
        yield kept
        return
    if path.is_dir():
        raise UserError(f"{option} must name a file, not the folder {path}")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise UserError(f"{option} must be in a folder that can be written, not {path} ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield kept
            with user_errors():
                np.save(file, kept[0], allow_pickle=False)
        with user_errors():
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def write_text(path: Path, text: str, option: str) -> None:
    """Write a text file at once. UserError that names the option if it cannot be written."""
    stage: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        stage = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        stage.chmod(0o666 & ~_umask())
        stage.replace(path)
    except OSError as error:
        raise UserError(f"{option} must be in a folder that can be written, not {path} ({error.strerror})") from error
    finally:
        if stage is not None:
            stage.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run while it is being filled, beside its final place."""

    stage: Path
    final: Path

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Write a JSON file into the folder."""
        (self.stage / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def run_folder(final: Path) -> Iterator[RunFolder]:
    """A folder that takes its place, and that of an earlier run there, when the block ends well.

    UserError, before the block runs, for a place that cannot be written and for a folder that holds
    something else than a run.
    """
    if final.is_dir() and any(final.iterdir()) and not (final / RUN_FILE).is_file():
        raise UserError(f"--waves must name a new folder or that of an earlier run, not {final}: it holds other files")
    if final.exists() and not final.is_dir():
        raise UserError(f"--waves must name a folder, not the file {final}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}-"))
    except OSError as error:
        raise UserError(f"--waves must name a place that can be written, not {final} ({error.strerror})") from error
    try:
        stage.chmod(0o777 & ~_umask())
        yield RunFolder(stage, final)
        with user_errors():
            if final.exists():
                shutil.rmtree(final)
            os.rename(stage, final)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
