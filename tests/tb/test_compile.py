"""How models are compiled: what they share is made once, the compiler gets only options that it knows."""

import dataclasses

import pytest

from tb import cache, verilator
from tb.compile import Recipe, takes
from tb.harness import library
from tb.ports import design_of

from .designs import Adder, Wires


def test_options_that_the_compiler_knows():
    assert takes(verilator.compiler(), "-O1")
    assert not takes(verilator.compiler(), "--param=there-is-no-such-parameter=1")
    assert not takes("no-such-compiler", "-O1")


def test_everything_of_a_recipe_names_the_product(monkeypatch):
    keys: list[str] = []

    def fetch(parts, build):
        keys.append(cache.key(parts))
        return cache.location()

    monkeypatch.setattr(cache, "fetch", fetch)
    base = Recipe(product="main", sources=["main.cpp"])
    recipes = [
        base,
        *(dataclasses.replace(base, product="other"), dataclasses.replace(base, sources=["main.cpp", "top.v"])),
        *(dataclasses.replace(base, options=["--vpi"]), dataclasses.replace(base, flags=["-DX"])),
        *(dataclasses.replace(base, link=["-shared"]), dataclasses.replace(base, optimise="-O2")),
        dataclasses.replace(base, runtime="-O1"),
    ]
    for recipe in recipes:
        recipe.fetch({"main.cpp": "int main() {}"})
    base.fetch({"main.cpp": "int main() { return 1; }"})
    assert len(set(keys)) == len(recipes) + 1


@pytest.mark.sim
def test_the_runtime_is_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MTIA_CACHE", str(tmp_path))
    logs = [(library(design_of(component)).parent / "build.log").read_text() for component in (Adder(), Wires())]
    assert [log.count("verilated.cpp") for log in logs] == [1, 0]
    assert [log.count("-c -o lane.o") for log in logs] == [1, 1]
    shared = [path.parent for path in tmp_path.glob("models/*/verilated.o")]
    assert len(shared) == 1
    assert (shared[0] / "all.h.gch").exists()
    assert all(f"-include {shared[0] / 'all.h'}" in log for log in logs)


@pytest.mark.sim
def test_a_model_of_many_files_has_headers_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MTIA_CACHE", str(tmp_path))
    design = design_of(Wires())
    main = '#include "Vtop.h"\nint main() { return 0; }\n'
    files = {"main.cpp": main, "lint.vlt": verilator.lint_file(), "top.v": design.verilog}
    options = ["--output-split", "1", *verilator.warning_options()]
    product = Recipe(product="main", sources=[*files], options=options).fetch(files)
    log = (product.parent / "build.log").read_text()
    assert "Vtop__pch.h.fast.gch" in log
    assert not list(tmp_path.glob("models/*/all.h.gch"))
