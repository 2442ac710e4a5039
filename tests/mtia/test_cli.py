"""The command line: what it prints, what it refuses in one line, and what it imports to start."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from mtia import cli, generations
from mtia.cli import common

ROOT = pathlib.Path(cli.__file__).parents[2]
READY = ("generations", "formats", "doctor")
Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


class TestMain:
    @pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
    def test_help_lists_commands_and_examples(self, run: Run, words: tuple[str, ...]) -> None:
        status, out, _ = run(*words)
        assert status == 0
        for name, text in cli.available().items():
            assert f"  {name:<13} {text}\n" in out
        assert "mtia COMMAND --help" in out

    def test_ready_commands_are_available(self) -> None:
        assert set(READY) <= set(cli.available()) <= set(cli.COMMANDS)
        assert list(cli.COMMANDS) == ["generations", "formats", "run", "verilog", "waves", "doctor"]

    @pytest.mark.parametrize("name", READY)
    def test_help_of_a_command_has_examples(self, run: Run, name: str) -> None:
        status, out, _ = run(name, "--help")
        assert status == 0
        assert f"usage: mtia {name}" in out
        assert "examples:\n  mtia " + name in out

    def test_unknown_command_names_the_nearest(self, refused: Refused) -> None:
        assert "not 'formts'; did you mean formats" in refused("formts")

    @pytest.mark.parametrize("word", ["--json", "-x", "zzz", ""])
    def test_first_word_is_a_command(self, refused: Refused, word: str) -> None:
        assert "Command must be one of generations, formats, " in refused(word, "formats")

    def test_unknown_option(self, refused: Refused) -> None:
        assert refused("formats", "--jsn") == (
            "mtia: error: unrecognized arguments: --jsn (see: mtia formats --help)\n"
        )

    def test_options_are_not_abbreviated(self, refused: Refused) -> None:
        assert "--js " in refused("formats", "--js")

    def test_option_without_its_value(self, refused: Refused) -> None:
        assert "expected one argument (see: mtia formats --help)" in refused("formats", "--gen")

    def test_version(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.metadata.version", lambda name: f"9.8.7 of {name}")
        assert run("--version") == (0, "mtia 9.8.7 of open-mtia\n", "")

    def test_version_where_it_is_not_installed(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli, "DISTRIBUTION", "no-such-distribution")
        assert run("--version") == (0, "mtia not installed\n", "")

    def test_a_command_without_its_module_is_not_offered(
        self, run: Run, refused: Refused, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(cli.COMMANDS, "absent", "no module of that name")
        _, out, _ = run("--help")
        assert "absent" not in out
        assert "not 'absent'" in refused("absent")

    def test_a_command_that_misses_a_package(self, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(name: str) -> None:
            raise ModuleNotFoundError(f"No module named 'of {name}'")

        monkeypatch.setattr(cli.importlib, "import_module", broken)
        line = refused("formats")
        assert "command formats lacks a part of the installation: No module named 'of mtia.cli.formats'" in line
        assert line.endswith("(try: mtia doctor)\n")
        assert "try" not in refused("doctor")

    def test_an_error_of_many_lines_is_printed_as_one(self, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(args: object) -> int:
            raise common.UserError("first\n  second")

        monkeypatch.setattr("mtia.cli.formats.run", broken)
        assert refused("formats") == "mtia: error: first second\n"

    def test_an_error_of_ours_is_not_hidden(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(args: object) -> int:
            raise ValueError("a bug")

        monkeypatch.setattr("mtia.cli.formats.run", broken)
        with pytest.raises(ValueError, match="a bug"):
            run("formats")

    def test_interrupted(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(args: object) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr("mtia.cli.formats.run", interrupted)
        assert run("formats")[0] == 130

    def test_reader_that_leaves(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "mtia", "formats"], stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")

    def test_start_imports_nothing_heavy(self) -> None:
        """What keeps `mtia --help` under 0.2 s."""
        code = "import sys; from mtia.cli import main; main([]); print(*sys.modules, file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        loaded = set(done.stderr.split())
        assert "mtia.cli.common" in loaded
        assert not loaded & {"numpy", "amaranth", "cocotb", "tb", "hdl", "golden", "importlib.metadata"}
        assert not loaded & {f"mtia.cli.{name}" for name in cli.COMMANDS}


class TestCommon:
    def test_user_errors_of_a_value(self) -> None:
        with pytest.raises(common.UserError, match=r"^K must be positive$"), common.user_errors():
            raise ValueError("K must be positive")

    def test_user_errors_of_a_file(self, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "absent.npy"
        with pytest.raises(common.UserError, match=f"^{path}: No such file or directory$"), common.user_errors():
            path.read_bytes()

    def test_user_errors_of_a_bare_oserror(self) -> None:
        with pytest.raises(common.UserError, match=r"^no words$"), common.user_errors():
            raise OSError("no words")

    def test_user_errors_lets_ours_pass(self) -> None:
        with pytest.raises(KeyError), common.user_errors():
            raise KeyError("ours")

    def test_choices_name_the_nearest(self) -> None:
        parser = common.Parser(prog="mtia test")
        common.add_profile(parser)
        assert parser.parse_args([]).profile == "sim"
        with pytest.raises(
            common.UserError, match=r"^Profile must be one of full, sim, fpga, not 'fpag'; did you mean"
        ):
            parser.parse_args(["--profile", "fpag"])

    def test_subcommands_of_a_command_name_the_nearest(self) -> None:
        parser = common.Parser(prog="mtia run")
        kinds = parser.add_subparsers(metavar="KIND", dest="kind", required=True)
        for name in ("gemm", "layer"):
            common.command_parser(kinds, name, description="", examples="")
        assert parser.parse_args(["layer"]).kind == "layer"
        with pytest.raises(common.UserError, match=r"^Kind must be one of gemm, layer, not 'gem'; did you mean gemm"):
            parser.parse_args(["gem"])
        with pytest.raises(common.UserError, match=r"required: KIND \(see: mtia run --help\)$"):
            parser.parse_args([])

    def test_add_generation(self) -> None:
        parser = common.Parser()
        common.add_generation(parser, default="mtia450")
        assert parser.parse_args([]).gen is generations.get("mtia450")
        assert parser.parse_args(["--gen", "MTIA 300"]).gen is generations.get("mtia300")

    def test_add_generation_required(self) -> None:
        parser = common.Parser()
        common.add_generation(parser, required=True)
        with pytest.raises(common.UserError, match="required: --gen"):
            parser.parse_args([])

    def test_json_has_no_words_for_infinity(self, capsys: pytest.CaptureFixture[str]) -> None:
        common.print_json({"a": [1.5, float("inf")], "b": {"c": float("nan"), 3: (True, None, "x")}})
        assert json.loads(capsys.readouterr().out) == {"a": [1.5, None], "b": {"c": None, "3": [True, None, "x"]}}

    @pytest.mark.parametrize(
        "value, text",
        [
            (3, "3"),
            (3.0, "3"),
            (0.56033, "0.5603"),
            (18.432, "18.43"),
            (6144, "6144"),
            (3.4e38, "3.4e+38"),
            (-0.25, "-0.25"),
        ],
    )
    def test_number(self, value: float, text: str) -> None:
        assert common.number(value) == text

    def test_table(self) -> None:
        text = common.table(["name", "bits", "note"], [["a", 8, None], ["longer", 16, True]])
        assert text.splitlines() == [
            "name    bits  note",
            "------  ----  ----",
            "a          8  -",
            "longer    16  yes",
        ]

    def test_table_wraps_its_last_column(self) -> None:
        text = common.table(["name", "note"], [["a", "one two three four"]], width=18)
        assert text.splitlines() == ["name  note", "----  ------------", "a     one two", "      three four"]
