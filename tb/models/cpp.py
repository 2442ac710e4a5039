"""C++ models that run inside a lane, a call a cycle, on plain ports of the design.

A model is a class template in a C++ header; its argument is a type that knows the design's ports by the model's own
names for them. For a design whose plain port ``command`` is ``struct {op 2, row 15}`` and a model that calls it
``slot``, ``Ports::slot::value(top)`` is Verilator's variable, ``Ports::slot::width`` its bits, and
``Ports::slot::row::get(top)`` one field of it. Wide ports are read and written with ``load`` and ``store`` of
``tb/cpp/bench.h``. The class offers

- ``void reset(Vtop&)``: with every reset of the design; may drive its inputs
- ``void sample(Vtop&, uint64_t cycle)``: the outputs of this cycle have settled; nothing may be driven
- ``void drive(Vtop&)``: after the edge, drives inputs of the next cycle
- ``void call(int operation, const uint8_t* data, size_t size, std::vector<uint8_t>& answer)``: what Python asks

An exception in any of them becomes a ``SimulationError`` of the lane with its message.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from amaranth.hdl import Shape
from amaranth.lib import data

from ..ports import Design, Port

#: Asks a model: operation, bytes -> bytes.
Call = Callable[[int, bytes], bytes]


class CppModel:
    """One C++ model beside one design; give it to ``Lane(component, models=[...])``, then ``call`` it.

    Parameters
    ----------
    type : name of the class template.
    files : name and text of each header; the first one is included.
    ports : the model's name for each port -> name of a plain port of the design.
    driven : the model's names of the ports that it drives: inputs of the design.

    A subclass overrides ``attached`` to configure the model as soon as it is there.
    """

    def __init__(
        self, *, type: str, files: Mapping[str, str], ports: Mapping[str, str], driven: Collection[str] = ()
    ) -> None:
        if not files:
            raise ValueError(f"Files of model {type!r} must name a header, not {files!r}")
        for name in driven:
            if name not in ports:
                raise ValueError(f"Driven ports of model {type!r} must be among {list(ports)}, not {name!r}")
        self.type = type
        self.files = dict(files)
        self.ports = dict(ports)
        self.driven = frozenset(driven)
        self._call: Call | None = None

    def attach(self, call: Call) -> None:
        """The lane that built the model gives the way to it. Raises ``ValueError`` if it had one before."""
        if self._call is not None:
            raise ValueError(f"Model {self.type!r} must stand beside one design, not two")
        self._call = call
        self.attached()

    def attached(self) -> None:
        """Called once, when the model can be called, before the first reset."""

    def call(self, operation: int, data: bytes = b"") -> bytes:
        """Bytes that the C++ model answers. Raises ``RuntimeError`` before it stands beside a design."""
        if self._call is None:
            raise RuntimeError(f"Model {self.type!r} must be given to a lane before it is called")
        return self._call(operation, data)


def models_files(models: Sequence[CppModel]) -> dict[str, str]:
    """All headers of ``models``. Raises ``ValueError`` where two of them differ under one name."""
    files: dict[str, str] = {}
    for model in models:
        for name, text in model.files.items():
            if files.setdefault(name, text) != text:
                raise ValueError(f"Headers of models must be the same under one name, not differ as {name!r} does")
    return files


def models_header(design: Design, models: Sequence[CppModel], member: Callable[[str], str]) -> str:
    """C++ of ``lane_models.h``: each model's ports as a type, then the list ``Models``.

    ``member`` gives the C++ expression of a Verilog port. Raises ``KeyError`` for a port that the design lacks,
    ``ValueError`` for a driven one that is no input.
    """
    included = dict.fromkeys(next(iter(model.files)) for model in models)
    lines = [f'#include "{name}"' for name in included]
    for index, model in enumerate(models):
        lines.append(f"struct ModelPorts{index} {{")
        for name, port in model.ports.items():
            found = design.port(port)
            if name in model.driven and not found.driven:
                raise ValueError(f"Port driven by model {model.type!r} must be an input of the design, not {port!r}")
            lines += _port_type(name, found, member(found.name))
        lines.append("};")
    types = ", ".join(f"{model.type}<ModelPorts{index}>" for index, model in enumerate(models))
    return "\n".join([*lines, f"using Models = Types<{types}>;"]) + "\n"


def _port_type(name: str, port: Port, expression: str) -> Iterable[str]:
    yield f"    struct {name} {{"
    yield f"        static constexpr int width = {port.width};"
    yield f"        static auto& value(Vtop& m) {{ return {expression}; }}"
    for field, offset, width in _fields(port):
        get = f"static uint64_t get(Vtop& m) {{ return field(value(m), {offset}, {width}); }}"
        yield f"        struct {field} {{ {get} }};"
    yield "    };"


def _fields(port: Port) -> Iterable[tuple[str, int, int]]:
    """Name, offset and width of each field of a struct that a C++ integer holds."""
    try:
        layout = data.Layout.cast(port.shape)
    except TypeError:
        return
    for name, entry in layout:
        width = Shape.cast(entry.shape).width
        if isinstance(name, str) and 0 < width <= 64:
            yield name, entry.offset, width
