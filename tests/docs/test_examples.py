"""The Python examples of the documentation run as they stand.

The blocks of a page that are marked `python` run in order in one namespace, in an empty folder. A block whose
info string also says `norun` is only compiled.
"""

import pathlib
import textwrap

import pytest
from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def relative(page: pathlib.Path) -> str:
    """Name of a page in reports."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[tuple[int, str, bool]]:
    """The Python blocks of a page: line of the first statement, source, whether it runs."""
    found = []
    for token in MarkdownIt("commonmark").parse(text):
        words = token.info.split()
        if token.type == "fence" and words[:1] == ["python"]:
            assert token.map is not None
            found.append((token.map[0] + 2, token.content, "norun" not in words))
    return found


def run_page(text: str, name: str) -> dict[str, object]:
    """Runs the blocks of a page; a traceback shows the page's own line numbers. Returns the namespace."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, source, runs in blocks(text):
        code = compile("\n" * (line - 1) + source, name, "exec")
        if runs:
            exec(code, namespace)
    return namespace


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page.read_text())], ids=relative)
def test_examples_run(page: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(), str(page))


PAGE = textwrap.dedent("""\
    Text.

    ```python
    a = 1
    ```

    ```text
    not Python
    ```

    1. In a list:

       ```python
       b = a + 1
       ```

    ```python norun
    never = 1
    ```
    """)


def test_blocks_share_a_namespace() -> None:
    namespace = run_page(PAGE, "page.md")
    assert namespace["b"] == 2
    assert "never" not in namespace


def test_line_numbers_are_those_of_the_page() -> None:
    assert [line for line, _, _ in blocks(PAGE)] == [4, 14, 18]


def test_a_wrong_example_fails() -> None:
    with pytest.raises(AssertionError, match="two"):
        run_page("```python\nassert 1 + 1 == 3, 'two'\n```\n", "page.md")


def test_an_example_that_is_no_python_fails() -> None:
    with pytest.raises(SyntaxError):
        run_page("```python norun\ntwo words\n```\n", "page.md")
