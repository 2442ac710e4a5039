"""Files of `mtia run`: what is read, and that nothing is half-written."""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtia.cli.common import UserError
from mtia.cli.run_files import RUN_FILE, output_matrix, read_matrix, run_folder, write_text


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "a.npy"


@pytest.fixture
def locked(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder that cannot be written."""
    if os.geteuid() == 0:
        yield pathlib.Path("/proc/self")
        return
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    yield folder
    folder.chmod(0o700)


class TestRead:
    @pytest.mark.parametrize("kind", ["f2", "<f4", ">f4", "f8", "i1", "u1", "i4", "i8", "u8"])
    def test_numbers(self, path: pathlib.Path, kind: str) -> None:
        np.save(path, np.array([[0, 1, 2], [3, 100, 5]], kind))
        found = read_matrix(path, "A")
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert found.tolist() == [[0, 1, 2], [3, 100, 5]]

    def test_rounds_to_nearest_even(self, path: pathlib.Path) -> None:
        np.save(path, np.array([[1 + 2.0**-24, 1 + 3 * 2.0**-24, 2.0**-149, 2.0**-151]]))
        assert read_matrix(path, "A").tolist() == [[1, 1 + 2.0**-22, 2.0**-149, 0]]
        np.save(path, np.array([[2**24 + 1, -(2**24) - 3]]))
        assert read_matrix(path, "A").tolist() == [[2**24, -(2**24) - 4]]

    def test_fortran_order_and_bits(self, path: pathlib.Path) -> None:
        bits = np.array([[0x80000000, 1], [0x7F7FFFFF, 0x3F800001]], np.uint32)
        np.save(path, np.asfortranarray(bits.view(np.float32)))
        assert (read_matrix(path, "A").view(np.uint32) == bits).all()

    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (np.ones((2, 2), bool), "A must hold floating-point or integer numbers of up to 64 bits, not bool"),
            (np.ones((2, 2), complex), "not complex128"),
            (np.ones((2, 2), np.longdouble), "not float128" if np.longdouble(0).itemsize == 16 else "not"),
            (np.array([["a"]]), "not str"),
            (np.zeros(3, "i4,f4"), "not void"),
            (np.ones(3), r"A must have 2 axes \(rows, K\), not shape \(3,\)"),
            (np.float32(1), r"not shape \(\)"),
            (np.ones((2, 3, 4)), r"not shape \(2, 3, 4\)"),
            (np.ones((2, 0)), r"K must be at least 1, not 0: A has shape \(2, 0\)"),
            (np.ones((0, 2)), r"A must have at least one row, not shape \(0, 2\)"),
            (np.array([[1, 2], [3, np.nan]]), "A must be finite, not nan at row 1, column 1 "),
            (np.array([[1, -np.inf], [3, np.nan]]), "not -inf at row 0, column 1, and 1 more"),
            (np.array([[1.0, 4e38]]), "not a number beyond float32 at row 0, column 1"),
        ],
    )
    def test_wrong_array(self, path: pathlib.Path, array: NDArray[Any], words: str) -> None:
        np.save(path, array)
        with pytest.raises(UserError, match=words) as caught:
            read_matrix(path, "A")
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "B must be a .npy file, as numpy.save writes it, not"),
            (b"1,2\n3,4\n", "B must be a .npy file"),
            (b"PK\x03\x04 a zip", "B must be a .npy file"),
            (b"\x93NUMPY", "B must be a sound .npy file"),
            (b"\x93NUMPY\x09\x00", "B must be a sound .npy file"),
            (b"\x93NUMPY\x01\x00\x06\x00{'a'}\n", "B must be a sound .npy file"),
            (b"\x93NUMPY\x01\x00\x06\x00(((((\n", "B must be a sound .npy file"),
        ],
    )
    def test_wrong_file(self, path: pathlib.Path, content: bytes, words: str) -> None:
        path.write_bytes(content)
        with pytest.raises(UserError, match=words):
            read_matrix(path, "B")

    def test_cut_file(self, path: pathlib.Path) -> None:
        np.save(path, np.ones((10, 10)))
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(UserError, match=r"sound \.npy file"):
            read_matrix(path, "A")

    def test_pickle_is_not_opened(self, path: pathlib.Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(path.with_suffix(".trap")),)

        np.save(path, np.array([[Trap()]], object), allow_pickle=True)
        with pytest.raises(UserError, match="Object arrays cannot be loaded"):
            read_matrix(path, "A")
        assert not path.with_suffix(".trap").exists()

    @pytest.mark.parametrize("shape", [(1 << 40, 1 << 10), (1 << 62, 1 << 62)])
    def test_header_that_claims_too_much(self, path: pathlib.Path, shape: tuple[int, int]) -> None:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        with pytest.raises(UserError, match=r"A must (fit the memory|be a sound)"):
            read_matrix(path, "A")

    def test_no_file(self, path: pathlib.Path) -> None:
        with pytest.raises(UserError, match="No such file"):
            read_matrix(path, "A")

    def test_folder(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(UserError, match="Is a directory"):
            read_matrix(tmp_path, "A")


class TestOutput:
    def test_is_written_at_the_end(self, path: pathlib.Path) -> None:
        path.write_text("before")
        with output_matrix(path) as out:
            assert path.read_text() == "before"
            out.append(np.ones((2, 3), np.float32))
        assert np.load(path).tolist() == [[1, 1, 1], [1, 1, 1]]
        assert [item.name for item in path.parent.iterdir()] == ["a.npy"]

    def test_failure_leaves_what_was_there(self, path: pathlib.Path) -> None:
        path.write_text("before")
        with pytest.raises(KeyError), output_matrix(path):
            raise KeyError
        assert path.read_text() == "before"
        assert len(list(path.parent.iterdir())) == 1

    def test_without_a_path(self) -> None:
        with output_matrix(None) as out:
            out.append(np.ones((1, 1), np.float32))

    def test_cannot_be_written(self, locked: pathlib.Path) -> None:
        with (
            pytest.raises(UserError, match="--out must be in a folder that can be written"),
            output_matrix(locked / "c.npy"),
        ):
            pytest.fail("the block ran")

    def test_text(self, tmp_path: pathlib.Path, locked: pathlib.Path) -> None:
        write_text(tmp_path / "page", "text", "--html")
        assert (tmp_path / "page").read_text() == "text"
        with pytest.raises(UserError, match="--html must be in a folder that can be written"):
            write_text(locked / "page", "text", "--html")


class TestRunFolder:
    def test_new_and_again(self, tmp_path: pathlib.Path) -> None:
        final = tmp_path / "runs" / "x"
        for value in (1, 2):
            with run_folder(final) as folder:
                (folder.stage / "waves.fst").write_text(str(value))
                folder.write(RUN_FILE, {"value": value})
        assert (final / "waves.fst").read_text() == "2"
        assert [item.name for item in final.parent.iterdir()] == ["x"]

    def test_failure_leaves_the_earlier_run(self, tmp_path: pathlib.Path) -> None:
        final = tmp_path / "x"
        with run_folder(final) as folder:
            folder.write(RUN_FILE, {})
        with pytest.raises(KeyError), run_folder(final):
            raise KeyError
        assert (final / RUN_FILE).is_file()
        assert [item.name for item in tmp_path.iterdir()] == ["x"]

    def test_empty_folder_is_taken(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "x").mkdir()
        with run_folder(tmp_path / "x") as folder:
            folder.write(RUN_FILE, {})
        assert (tmp_path / "x" / RUN_FILE).is_file()

    def test_foreign_folder(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(UserError, match="it holds other files"), run_folder(tmp_path):
            pytest.fail("the block ran")
        assert (tmp_path / "thesis.tex").is_file()

    def test_file(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "x").write_text("")
        with pytest.raises(UserError, match="--waves must name a folder, not the file"), run_folder(tmp_path / "x"):
            pytest.fail("the block ran")

    def test_cannot_be_written(self, locked: pathlib.Path) -> None:
        with pytest.raises(UserError, match="--waves must name a place that can be written"), run_folder(locked / "x"):
            pytest.fail("the block ran")
