"""A save file for GTKWave, and for Surfer: the groups of a recorded design, their values decoded."""

import io
import stat
from collections.abc import Sequence
from pathlib import Path

from vcd.gtkw import GTKWSave, make_translation_filter

from mtia.formats import Scale

from .decode import Decoder, Enumeration, Float32, Number, ScaleCode
from .trace import Trace
from .view import Group, Row

SAVE_FILE = "waves.gtkw"
SURFER_FILE = "waves.sucl"
_FLOAT_FILTER = "float32_filter.py"

#: what GTKWave runs to read the bits of FP32: lines of hexadecimal in, lines of text out
_FLOAT_SOURCE = """\
#!/usr/bin/env python3
import struct
import sys

for line in sys.stdin:
    try:
        text = "%.7g" % struct.unpack("<f", struct.pack("<I", int(line, 16)))[0]
    except ValueError:
        text = line.strip()
    print(text, flush=True)
"""


def write_save_files(folder: Path, trace: Trace, groups: Sequence[Group]) -> Path:
    """Write the save files of both viewers, and the filters that GTKWave's names, into a folder.

    Returns the path of GTKWave's. The filters are named by their absolute paths, as GTKWave asks for.
    Raises OSError if the folder cannot be written.
    """
    folder = folder.resolve()
    text = io.StringIO()
    save = GTKWSave(text)
    save.dumpfile(str(trace.path.resolve()))
    save.savefile(str(folder / SAVE_FILE))
    save.timestart(0)
    save.zoom_markers(-5.3)
    save.size(1600, 1000)
    save.signals_width(320)
    save.trace("top.clk")
    for group in groups:
        with save.group(group.name, closed=not group.is_open):
            for row in group.rows:
                if (name := _signal(trace, row)) is not None:
                    _trace(save, folder, trace, row, name)
    (folder / SAVE_FILE).write_text(text.getvalue(), encoding="utf-8")
    (folder / SURFER_FILE).write_text(_surfer(trace, groups), encoding="utf-8")
    return folder / SAVE_FILE


def _signal(trace: Trace, row: Row) -> str | None:
    """The signal that holds just the row's bits; None if there is none, or the row is no signal at all."""
    if row.ready is not None:
        return None
    if row.offset == 0 and row.width == trace.width(row.signal):
        return row.signal
    part = f"{row.signal}.{row.label.split(' ')[0].replace('[', '.[')}"
    return part if part in trace else None


def _trace(save: GTKWSave, folder: Path, trace: Trace, row: Row, name: str) -> None:
    width = trace.width(name)
    plain = name.replace(".[", "[")  # GTKWave's own way to write the names that Verilator gives to array elements
    full = f"{plain}[{width - 1}:0]" if width > 1 else plain
    file: Path | None = None
    if (found := _translations(row.decoder)) is not None:
        file = folder / found[0]
        file.write_text(make_translation_filter(found[1], size=width) + "\n", encoding="utf-8")
    is_decimal = isinstance(row.decoder, Number) and row.decoder.is_decimal
    save.trace(
        full,
        alias=row.label.replace(".", "/"),  # of a name with dots only the last part would be seen
        datafmt="dec" if is_decimal else "hex" if width > 1 else "bin",
        translate_filter_file=str(file) if file else None,
        translate_filter_proc=str(_script(folder)) if isinstance(row.decoder, Float32) else None,
    )


def _script(folder: Path) -> Path:
    path = folder / _FLOAT_FILTER
    path.write_text(_FLOAT_SOURCE, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _translations(decoder: Decoder | None) -> tuple[str, list[tuple[int, str]]] | None:
    """File name and lines of a translation file for what has names, or few values."""
    if isinstance(decoder, Enumeration):
        return f"{decoder.name}.txt", list(decoder.values)
    if isinstance(decoder, ScaleCode):
        codes = range(256 if decoder.scale is Scale.E8M0 else 128)
        return f"scale_{decoder.scale.value}.txt", [(code, decoder.label(code)) for code in codes]
    return None


def _surfer(trace: Trace, groups: Sequence[Group]) -> str:
    """Commands that add the open groups to Surfer, a divider before each."""
    lines = ["variable_add top.clk"]
    for group in groups:
        if group.is_open:
            lines.append(f"divider_add {group.name}")
            lines += [f"variable_add {name}" for row in group.rows if (name := _signal(trace, row)) and "[" not in name]
    return "\n".join(lines) + "\n"
