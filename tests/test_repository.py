"""Rules of the repository that no other tool checks: imports, leftovers, versions, documented commands."""

import ast
import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import amaranth
import pytest
from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").rglob("*.md"))

#: Which top-level packages a package may import; `mtia.cli` (with `python -m mtia`) joins them all, the rest of
#: `mtia` is pure data.
EDGES = {
    "mtia": set(),
    "mtia.cli": {"mtia", "hdl", "golden", "tb", "fpga"},
    "hdl": {"mtia"},
    "golden": {"mtia"},
    "tb": {"mtia", "hdl", "golden"},
    "fpga": {"mtia", "hdl"},
    "bench": {"mtia", "mtia.cli", "hdl", "golden", "tb", "fpga"},
    "formal": {"mtia", "hdl"},
    "tests": {"mtia", "mtia.cli", "hdl", "golden", "tb", "fpga", "bench", "formal"},
}


def package_of(module: str) -> str:
    """The row of EDGES a dotted name belongs to, or "" for one that is not ours."""
    parts = module.split(".")
    if parts[0] == "mtia" and parts[1:2] in (["cli"], ["__main__"]):
        return "mtia.cli"
    return parts[0] if parts[0] in EDGES else ""


def imported_names(tree: ast.AST, module: str) -> Iterator[tuple[int, str, bool]]:
    """Every import of a module: line, absolute dotted name, whether it was written as a relative one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, False
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}", node.level > 0


def wrong_imports(source: str, module: str) -> list[str]:
    """What the source of a module imports against the rules, one line each."""
    owner, found = package_of(module), []
    for line, name, is_relative in imported_names(ast.parse(source), module):
        target = package_of(name)
        if not target:
            continue
        if target != owner and target not in EDGES[owner]:
            found.append(f"{module}:{line}: {owner} must not import {name}")
        elif is_relative and name.split(".")[0] != module.split(".")[0]:
            found.append(f"{module}:{line}: {name} must be imported absolutely")
        elif not is_relative and target == owner and owner != "tests":
            found.append(f"{module}:{line}: {name} must be imported relatively")
    return found


def star_imports(source: str) -> list[str]:
    """Modules of which a source imports everything, other than Amaranth."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return [node.module or "." for node in nodes if node.names[0].name == "*" and node.module != "amaranth"]


def python_files() -> list[pathlib.Path]:
    tops = sorted({name.split(".")[0] for name in EDGES})
    return [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]


def module_name(path: pathlib.Path) -> str:
    """Dotted name; that of a package ends in `__init__`, so that relative imports resolve alike everywhere."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_imports_keep_to_the_allowed_edges() -> None:
    wrong = [line for path in python_files() for line in wrong_imports(path.read_text(), module_name(path))]
    assert not wrong, "\n".join(wrong)


def test_amaranth_is_the_only_star_import() -> None:
    assert {str(path): names for path in python_files() if (names := star_imports(path.read_text()))} == {}


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        ("hdl.tensor.dot", "from golden import mx", "hdl must not import golden.mx"),
        ("golden.mx", "import hdl.tensor", "golden must not import hdl.tensor"),
        ("golden.mx", "import tb", "golden must not import tb"),
        ("mtia.formats", "from .cli import main", "mtia must not import mtia.cli.main"),
        ("mtia.generations", "def f():\n    import hdl", "mtia must not import hdl"),
        ("hdl.tensor.dot", "from hdl.core import arith", "must be imported relatively"),
        ("hdl.tensor.dot", "from ...mtia import formats", "must be imported absolutely"),
    ],
)
def test_wrong_import_is_found(module: str, source: str, words: str) -> None:
    (line,) = wrong_imports(source, module)
    assert words in line


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hdl.tensor.dot", "from ..core.arith import tree\nfrom mtia.formats import E4M3\nimport numpy"),
        ("mtia.cli.run", "from tb import runner\nfrom .. import formats\nfrom . import common"),
        ("mtia.cli.__init__", "from .run import main"),
        ("tests.test_x", "from mtia.cli import main\nimport hdl, golden, tb"),
    ],
)
def test_right_import_is_accepted(module: str, source: str) -> None:
    assert wrong_imports(source, module) == []


def members_of(init: ast.FunctionDef) -> set[str]:
    """Names of members in the dictionaries of a constructor, written out or by a local name."""
    is_member = re.compile(r"\b(In|Out|stream_in|stream_out)\(").search
    names: set[str] = set()
    assigned = [node for node in ast.walk(init) if isinstance(node, ast.Assign)]
    local = {ast.unparse(node.targets[0]) for node in assigned if is_member(ast.unparse(node.value))}
    for node in ast.walk(init):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                text = ast.unparse(value)
                if isinstance(key, ast.Constant) and (is_member(text) or text in local):
                    names.add(str(key.value))
    return names


def told_names(docstring: str, title: str) -> set[str] | None:
    """Names that a section of a docstring explains (`name : text`, `one, other : text`); None without the section."""
    section = re.search(rf"^{title}\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", docstring, re.MULTILINE | re.DOTALL)
    if section is None:
        return None
    entries = re.findall(r"(?:^|[.)] )\s*(\w+(?:, \w+)*) : ", section[1], re.MULTILINE)
    return {name for entry in entries for name in entry.split(", ")}


def undocumented(source: str) -> list[str]:
    """Constructor parameters and members that the docstring of a public component does not name, one line each."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        if not {"wiring.Component", "Composition"} & {ast.unparse(base) for base in node.bases}:
            continue
        parameters, members = set(), set()
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and re.match(r"(In|Out|stream_\w+)\(", ast.unparse(item.annotation)):
                members.add(ast.unparse(item.target))
            elif isinstance(item, ast.FunctionDef) and item.name == "__init__":
                parameters |= {each.arg for each in item.args.args[1:] + item.args.kwonlyargs}
                members |= members_of(item)
        text = ast.get_docstring(node) or ""
        for title, names in (("Parameters", parameters), ("Members", members)):
            told = told_names(text, title)
            if told is not None or title == "Parameters":
                found += [f"{node.name}: {title} must name {name!r}" for name in sorted(names - (told or set()))]
    return found


@pytest.mark.parametrize("package", ["core", "formats", "hbm", "link", "message", "switch", "tensor"])
def test_component_documents_parameters_and_members(package: str) -> None:
    paths = sorted((ROOT / "hdl" / package).glob("*.py"))
    assert paths
    wrong = [f"{path.name}: {line}" for path in paths for line in undocumented(path.read_text())]
    assert not wrong, "\n".join(wrong)


COMPONENT = """
class Adder(wiring.Component):
    '''Adds.

    Parameters
    ----------
    width : of the terms.
    {parameters}

    Members
    -------
    a, b : terms. total : their sum.
    {members}

    Raises ValueError.
    '''

    late: In(1)

    def __init__(self, *, width: int, deep: bool = False):
        word = data.StructLayout({{"value": width}})
        super().__init__({{"a": In(word), "b": In(word), **({{"total": Out(word)}} if width else {{}})}})
"""


@pytest.mark.parametrize(
    ("parameters", "members", "found"),
    [
        ("deep : a register too.", "late : what for.", []),
        ("", "late : what for.", ["Adder: Parameters must name 'deep'"]),
        ("deep : a register too.", "later : what for.", ["Adder: Members must name 'late'"]),
    ],
)
def test_undocumented_name_is_found(parameters: str, members: str, found: list[str]) -> None:
    assert undocumented(COMPONENT.format(parameters=parameters, members=members)) == found


def test_every_test_file_is_collected() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    collected = {line.split(":")[0] for line in run.stdout.splitlines() if line.startswith("tests/")}
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")} == collected


def project_files() -> list[pathlib.Path]:
    """Text files that are, or would be, in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in run.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


#: One letter of each stands in brackets, so that this file does not find itself.
LEFTOVER = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HAC[K]|stu[b]|placeholde[r])\b", re.IGNORECASE)
MACHINE = re.compile(r"(?<![\w.-])/(?:hom[e]|roo[t]|wor[k]|tm[p]|User[s])/|pyp[i]\.org|pythonhoste[d]")


@pytest.mark.parametrize("pattern", [LEFTOVER, MACHINE], ids=["unfinished", "machine"])
def test_nothing_is_left_behind(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in project_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["# to{}do: more", "st{}ub", "raise Fix{}me()"])
def test_leftover_is_recognised(text: str) -> None:
    assert LEFTOVER.search(text.format(""))


@pytest.mark.parametrize("text", ["open('/ho{}me/someone/file')", "cd /tm{}p/x", "https://pyp{}i.org/simple"])
def test_machine_is_recognised(text: str) -> None:
    assert MACHINE.search(text.format(""))
    assert not MACHINE.search("docs" + text.format("x"))


def project_table() -> dict[str, str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_changelog_begins_with_the_version() -> None:
    heading = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading
    assert heading[1] == project_table()["version"]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bench.lock", "requirements-formal.lock"])
def test_lock_is_exact(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=[a-z])", re.sub(r"(?m)^ *#.*\n", "", text).strip())
    assert "://" not in text
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==[\w.]+ ", entry), entry
        assert "--hash=sha256:" in entry


def requirement_names(requirements: list[str]) -> set[str]:
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}  # type: ignore[index] # all match
    return {name.replace("_", "-") for name in names}


def test_locks_hold_every_dependency() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.lock": table["project"]["dependencies"]
        + table["project"]["optional-dependencies"]["models"]
        + table["dependency-groups"]["dev"],
        "requirements-bench.lock": table["dependency-groups"]["bench"],
        "requirements-formal.lock": table["dependency-groups"]["formal"],
    }
    for name, requirements in wanted.items():
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), re.MULTILINE))
        assert requirement_names(requirements) <= locked


def test_type_declarations_match_amaranth() -> None:
    stub_names = re.findall(r"^    (\w+) as \1,$", (ROOT / "typings/amaranth/__init__.pyi").read_text(), re.MULTILINE)
    assert sorted(stub_names) == sorted(vars(amaranth)["__all__"])


def documented_commands() -> list[tuple[str, list[str]]]:
    """Commands in the shell blocks of the documentation: page, and words without a leading `./dev`."""
    found = []
    for page in PAGES:
        for token in MarkdownIt("commonmark").parse(page.read_text()):
            if token.type != "fence" or token.info.split()[:1] not in (["console"], ["sh"], ["bash"]):
                continue
            for line in token.content.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words[:1] == ["./dev"]:
                    words = words[1:]
                if words:
                    found.append((page.relative_to(ROOT).as_posix(), words))
    return found


def test_readme_has_the_commands_of_ci() -> None:
    readme = (ROOT / "README.md").read_text()
    test_command = (ROOT / ".ci/run").read_text().strip().splitlines()[-1]
    assert test_command == "exec ./dev nox </dev/null"
    assert re.search(r"^\./dev nox$", readme, re.MULTILINE)
    assert re.search(r"^\./dev mtia run layer ", readme, re.MULTILINE)
    assert os.access(ROOT / "dev", os.X_OK)
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_documented_sessions_exist() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    sessions = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            keywords = [k for d in node.decorator_list if isinstance(d, ast.Call) for k in d.keywords]
            named = [k.value.value for k in keywords if k.arg == "name" and isinstance(k.value, ast.Constant)]
            sessions.update(named or [node.name])
    wanted = set()
    for _, words in documented_commands():
        if words[0] == "nox" and "-s" in words:
            names = words[words.index("-s") + 1 :]
            wanted.update(names[: names.index("--")] if "--" in names else names)
    assert wanted
    assert wanted <= sessions


MTIA = [(page, words) for page, words in documented_commands() if words[0] == "mtia"]


@pytest.mark.skipif(importlib.util.find_spec("mtia.cli") is None, reason="mtia.cli is not there yet")
@pytest.mark.parametrize(("page", "words"), MTIA, ids=[f"{page}-{n}" for n, (page, _) in enumerate(MTIA)])
def test_documented_command_exists(page: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from mtia.cli import main

    arguments = words[1:]
    options = [word.split("=")[0] for word in arguments if word.startswith("-")]
    first = next((n for n, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    try:
        status = main([*arguments[:first], "--help"])
    except SystemExit as end:
        status = int(end.code or 0)
    text, errors = capsys.readouterr()
    assert status == 0, f"{page}: {shlex.join(words)}: {errors}"
    assert [option for option in options if option not in text] == []
