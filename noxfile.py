"""The pipeline. Each session answers one question; `./dev nox` asks those that every change must pass.

Sessions run in the environment that `./dev` made, so nothing is installed twice. Arguments after `--` go to the
program that the session runs: `./dev nox -s sim -- -k dot`.
"""

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "unit", "sim", "emit", "docs"]
nox.options.stop_on_first_error = False  # one run tells everything that is wrong

# One worker a core; PYTEST_XDIST_AUTO_NUM_WORKERS sets another number.
PARALLEL = ("-n", "auto", "--dist", "worksteal")


@nox.session
def lint(session: nox.Session) -> None:
    """Is the source well formed, and do its types agree?"""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


@nox.session
def unit(session: nox.Session) -> None:
    """Do the parts do what they promise, as far as no Verilator model is needed?"""
    session.run("pytest", "-m", "not sim and not emit and not long", "--ignore=tests/docs", *PARALLEL, *session.posargs)


@nox.session
def sim(session: nox.Session) -> None:
    """Does the RTL under Verilator agree with the golden models?"""
    session.run("pytest", "-m", "sim and not long", *PARALLEL, *session.posargs)


@nox.session
def emit(session: nox.Session) -> None:
    """Does every generation become Verilog at its full size that Verilator finds clean?"""
    session.run("pytest", "-m", "emit", *PARALLEL, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Does the documentation build without a warning, and do its examples run?"""
    session.run("mkdocs", "build", "--strict", "--clean")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """How good is it? Prints tables of measurements with the machine's name; fails where a figure is missed."""
    session.run(
        "python", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", "requirements-bench.lock"
    )
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def formal(session: nox.Session) -> None:
    """Do the properties of the link, of the switch and of the queues hold for all inputs? Fetches the solvers."""
    session.run(
        "python", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", "requirements-formal.lock"
    )
    session.run("python", "-m", "formal", *session.posargs)
    session.run("pytest", "tests/formal", "--deselect", "tests/formal/test_proofs.py::test_proof")


@nox.session(name="long")
def long_tests(session: nox.Session) -> None:
    """Does it hold at the size for the night?"""
    session.run("pytest", "-m", "long", *PARALLEL, "--timeout=0", *session.posargs)


@nox.session(venv_backend="venv")
def lock(session: nox.Session) -> None:
    """What are the newest versions that fit pyproject.toml? Writes the locks; fetches uv."""
    session.install("uv")
    compile_lock = [
        *("uv", "pip", "compile", "--quiet", "--upgrade", "--custom-compile-command=./dev nox -s lock"),
        *("--universal", "--python-version=3.11", "--fork-strategy=fewest", "--generate-hashes", "--no-emit-index-url"),
    ]
    session.run(*compile_lock, "pyproject.toml", "--extra=models", "--group=dev", "-o", "requirements.lock")
    for group in ("bench", "formal"):
        output = f"requirements-{group}.lock"
        session.run(*compile_lock, f"--group=pyproject.toml:{group}", "-c", "requirements.lock", "-o", output)
