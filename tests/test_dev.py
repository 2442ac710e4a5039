"""`./dev` on machines that lack something: what it installs, what it asks for, when it has nothing to do.

The script runs in a copy of its folder, on a PATH that holds only the programs of a case. Python, pip, apt-get and
sudo are small programs that write down how they were called.
"""

import pathlib
import shutil
import subprocess
from collections.abc import Iterable

import pytest

ROOT = pathlib.Path(__file__).parents[1]

#: What every Debian has.
BASE = ("awk", "bash", "cat", "chmod", "dirname", "env", "flock", "grep", "mkdir", "rm", "sha256sum", "sleep")
COMPILER = ("g++", "make", "perl")

PYTHON = """\
#!/usr/bin/env bash
echo "python $*" >>"$LOG"
case "$*" in
  *ensurepip*) exit "${NO_VENV:-0}" ;;
  *version_info*) exit "${OLD:-0}" ;;
  *"venv --clear"*) mkdir -p "${@: -1}/bin" && cat "$0" >"${@: -1}/bin/python" && chmod +x "${@: -1}/bin/python" ;;
  *" install "*" -r "*) echo "Collecting one"; exit "${PIP_FAILS:-0}" ;;
  --version) echo "Python 3.11.2" ;;
esac
"""


class Machine:
    """A folder with the script and a PATH made for one case."""

    def __init__(self, folder: pathlib.Path, *, has: Iterable[str], user: int = 1000) -> None:
        self.root = folder / "clone"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.root.mkdir()
        self.bin.mkdir()
        self.log.touch()
        shutil.copy(ROOT / "dev", self.root)
        (self.root / "requirements.lock").write_text("one==1 --hash=sha256:0\n")
        (self.root / "pyproject.toml").write_text("")
        for name in BASE:
            self.bin.joinpath(name).symlink_to(shutil.which(name) or "/bin/false")
        self.program("python3", PYTHON)
        self.program("id", f"#!/usr/bin/env bash\necho {user}\n")
        for name in has:
            self.program(name, "#!/usr/bin/env bash\n")

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def apt(self, *, gives: Iterable[str]) -> None:
        """An apt-get that makes programs appear."""
        made = "".join(
            f'  printf "#!/usr/bin/env bash\\n" >{self.bin}/{name}; chmod +x {self.bin}/{name}\n' for name in gives
        )
        self.program(
            "apt-get", f'#!/usr/bin/env bash\necho "apt-get $*" >>"$LOG"\nif [[ $1 == install ]]; then :\n{made}fi\n'
        )

    def run(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": str(self.bin), "LOG": str(self.log), **extra}
        command = [str(self.root / "dev"), *words]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)

    def called(self, words: str) -> int:
        return sum(words in line for line in self.log.read_text().splitlines())


def test_first_run_makes_the_environment_and_the_second_does_nothing(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=COMPILER)
    first = machine.run("bash", "-c", "echo $VIRTUAL_ENV; exit 7")
    assert first.returncode == 7, first.stderr
    assert first.stdout == f"{machine.root}/.venv\n"
    assert machine.called("venv --clear") == 1
    assert machine.called("install --no-deps --require-hashes") == 1
    assert machine.called("--no-build-isolation") == 1
    machine.log.write_text("")
    second = machine.run("bash", "-c", "echo done")
    assert (second.returncode, second.stdout, second.stderr) == (0, "done\n", "")
    assert machine.log.read_text() == ""


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_file_installs_again_in_the_same_environment(tmp_path: pathlib.Path, name: str) -> None:
    machine = Machine(tmp_path, has=COMPILER)
    machine.run()
    with (machine.root / name).open("a") as file:
        file.write("# more\n")
    machine.log.write_text("")
    assert machine.run().returncode == 0
    assert machine.called("install --no-deps --require-hashes") == 1
    assert machine.called("venv --clear") == 0


def test_a_moved_clone_makes_the_environment_again(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=COMPILER)
    machine.run()
    machine.root = machine.root.rename(tmp_path / "moved")
    machine.log.write_text("")
    assert machine.run().returncode == 0
    assert machine.called("venv --clear") == 1


def test_without_rights_prints_one_line_to_type(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=["make", "perl"])
    machine.apt(gives=["g++"])
    run = machine.run("bash", "-c", "echo reached", NO_VENV="1")
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = [line for line in run.stderr.splitlines() if "apt-get" in line]
    assert line.startswith("sudo apt-get update && sudo apt-get install -y --no-install-recommends g++ python3-venv")
    assert machine.called("apt-get") == 0


def test_root_installs_what_is_missing(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=["make", "ccache"], user=0)
    machine.apt(gives=["g++", "perl"])
    run = machine.run("bash", "-c", "echo reached")
    assert (run.returncode, run.stdout) == (0, "reached\n"), run.stderr
    assert machine.called("apt-get update") == 1
    assert machine.called("apt-get install -y -qq --no-install-recommends g++ perl") == 1


def test_sudo_without_a_password_is_used(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=["make", "perl", "ccache"])
    machine.apt(gives=["g++"])
    machine.program("sudo", '#!/usr/bin/env bash\nshift\n[[ $1 == true ]] && exit\nexec "$@"\n')
    assert machine.run().returncode == 0
    assert machine.called("apt-get install") == 1


def test_a_failed_installation_prints_the_line(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=["make", "perl"], user=0)
    machine.apt(gives=[])
    run = machine.run()
    assert run.returncode == 2
    assert "\napt-get update && apt-get install -y --no-install-recommends g++" in run.stderr


def test_an_optional_package_is_only_a_notice(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=COMPILER)
    run = machine.run()
    assert run.returncode == 0
    assert "going on without" in run.stderr
    assert "ccache" in run.stderr


def test_a_failed_pip_is_tried_again(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=COMPILER)
    run = machine.run("bash", "-c", "echo reached", PIP_FAILS="1")
    assert (run.returncode, run.stdout) == (2, "")
    assert "could not be installed" in run.stderr
    machine.log.write_text("")
    assert machine.run().returncode == 0
    assert machine.called("install --no-deps --require-hashes") == 1


def test_an_old_python_is_refused(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=COMPILER)
    run = machine.run(OLD="1")
    assert run.returncode == 2
    assert "must be Python 3.11 or newer" in run.stderr


def test_help_changes_nothing(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=[])
    run = machine.run("--help")
    assert run.returncode == 0
    assert run.stdout.startswith("Usage: ./dev [COMMAND [ARGUMENT...]]")
    assert machine.log.read_text() == ""


def test_two_commands_at_once_install_once(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, has=COMPILER)
    variables = {"PATH": str(machine.bin), "LOG": str(machine.log)}
    both = [subprocess.Popen([machine.root / "dev"], env=variables, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert machine.called("install --no-deps --require-hashes") == 1
