"""The seed of random tests: printed at the start and at a failure, taken back, refused where it is no number."""

import os
import pathlib
import shutil
import subprocess
import sys

TESTS = """\
def test_random(seed):
    assert seed == 1

def test_plain():
    assert False
"""


def run(folder: pathlib.Path, **variables: str) -> tuple[int, str]:
    """A pytest of its own over TESTS, with the project's conftest: its status and all it printed."""
    shutil.copy(pathlib.Path(__file__).with_name("conftest.py"), folder)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    env = {key: value for key, value in os.environ.items() if key != "MTIA_SEED" and "PYTEST" not in key} | variables
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", str(folder)]
    ended = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_default_is_printed_at_the_start(tmp_path: pathlib.Path) -> None:
    _, text = run(tmp_path)
    assert "seed: MTIA_SEED=1\n" in text
    assert "1 failed, 1 passed" in text
    assert "run again with" not in text


def test_another_seed_arrives_and_its_failure_names_it(tmp_path: pathlib.Path) -> None:
    _, text = run(tmp_path, MTIA_SEED="0x10")
    assert "2 failed" in text
    assert text.count("run again with MTIA_SEED=16") == 1


def test_wrong_seed(tmp_path: pathlib.Path) -> None:
    status, text = run(tmp_path, MTIA_SEED="many")
    assert status == 4
    assert "MTIA_SEED must be an integer, not 'many'" in text
