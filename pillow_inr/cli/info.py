"""`pillow-inr info`."""

import json
import math
import textwrap
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..format.file import unpack
from ..format.header import HEADER_MAX_BYTES, Header, ModelHeader
from ..format.info import file_info
from ..format.metadata import NAMES, Metadata, read_psnr
from ..format.pixel_format import MODES
from ..imaging.metrics import psnr_text
from ..imaging.pillow import mode_of
from ..inputs import finding, sources
from ..inputs.finding import Item
from ..models import reader
from ..report.breakdown import FileBreakdown, Part, of_file
from . import running
from .running import Run

# Width of the values in a listing of 80 columns.
VALUE_WIDTH = 68


@click.command(epilog="Example: pillow-inr info photos --json | jq '.[] | {file, bytes, psnr}'")
@click.argument("inputs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print everything about the files as JSON.")
def info(inputs: tuple[str, ...], as_json: bool) -> None:
    """Show what .inr files hold, without decoding their pixels.

    INPUTS are files, folders (all .inr files in and below them), patterns in quotes, or - for standard input. For a
    single file, the sizes of its parts and the bits of its model are listed as well.
    """
    run = Run(finding.find(inputs, finding.INRS, once=False))
    found: list[tuple[Path, FileBreakdown]] = []
    run.each(lambda item: found.append((item.source, _break_down(item))))
    if as_json:
        click.echo(json.dumps([describe(path, file) for path, file in found], indent=2))
    elif len(run.items) == 1 and found:
        _print_listing(*found[0])
    elif found:
        _print_table(found)
    if run.has_several and (run.failed or run.skipped):
        running.console().print(run.summary("listed"))
    run.exit()


def _break_down(item: Item) -> FileBreakdown:
    with sources.opened(item.source) as file:
        # A large file of another format is refused after its first bytes.
        prefix = file.read(HEADER_MAX_BYTES)
        header = reader.read_header(prefix)
        return of_file(unpack(prefix + file.read(), header))


def describe(path: Path, file: FileBreakdown) -> dict[str, Any]:
    """Everything about a file, for JSON."""
    header = file.header
    known = file_info(header, file.chunks)
    psnr_db = known.get("psnr")
    return {
        "file": str(path),
        "bytes": header.file_bytes,
        "size": header.size,
        "mode": _mode(header),
        **{name: known.get(name) for name in ("dtype", "channels", "range")},
        "bits_per_pixel": known["bits_per_pixel"],
        "psnr": "inf" if psnr_db == math.inf else psnr_db,  # JSON has no infinity
        "format_version": known["format_version"],
        **header.model.info(header.channels),
        "coding": header.model.coding,
        "metadata": {
            name: list(value) if name == "dpi" else len(value)
            for name, value in Metadata.from_chunks(file.chunks).info().items()
        },
        "parts": [{"part": part.name, "bytes": part.bytes} for part in file.parts],
        **file.model.json,
    }


def _mode(header: Header[ModelHeader]) -> str | None:
    """Pillow's mode; None if Pillow has no mode that holds the samples without loss."""
    if header.dtype == "uint8" and header.channels <= len(MODES):
        return MODES[header.channels - 1]
    return mode_of(header) if header.channels == 1 else None


def _pixels(header: Header[ModelHeader]) -> str:
    """Mode, or channels and sample type, such as "RGB" or "6×uint16"."""
    return _mode(header) or f"{header.channels}×{header.dtype}"


def _psnr_cell(psnr_db: float | None) -> str:
    """A PSNR for a column in dB."""
    return "-" if psnr_db is None else psnr_text(psnr_db).removesuffix(" dB")


def _metadata_names(file: FileBreakdown) -> str:
    return " ".join("icc" if part.name == "icc_profile" else part.name for part in file.parts if part.name in NAMES)


def _print_table(found: list[tuple[Path, FileBreakdown]]) -> None:
    """Print one line per file. A rich table would wrap long names or pad short ones."""
    heading = ("size", "pixels", "model", "bytes", "bpp", "dB", "metadata", "file")
    rows = [heading, *(_row(path, file) for path, file in found)]
    if not any(row[6] for row in rows[1:]):
        rows = [(*row[:6], row[7]) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    console = Console(highlight=False, soft_wrap=True)
    for number, (*cells, name) in enumerate(rows):
        padded = (
            cell.rjust(width) if 2 <= column <= 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        console.print(running.literal("  ".join((*padded, name))), style=None if number else "bold")


def _row(path: Path, file: FileBreakdown) -> tuple[str, ...]:
    header = file.header
    return (
        f"{header.size[0]}×{header.size[1]}",
        _pixels(header),
        header.model.label,
        f"{header.file_bytes:,}",
        f"{header.bits_per_pixel:.3f}",
        _psnr_cell(read_psnr(file.chunks)),
        _metadata_names(file),
        click.format_filename(path),
    )


def _print_listing(path: Path, file: FileBreakdown) -> None:
    console = Console(highlight=False)
    console.print(running.literal(click.format_filename(path)), style="bold", soft_wrap=True)
    listing = Table(box=None, pad_edge=False, show_header=False)
    listing.add_column(style="bold")
    listing.add_column()
    for name, value in _lines(file):
        listing.add_row(name, escape(value))
    console.print(listing)
    console.print()
    console.print(_model_table(file))


def _lines(file: FileBreakdown) -> list[tuple[str, str]]:
    header = file.header
    known = file_info(header, file.chunks)
    pixels = _mode(header) or f"{header.channels} channel{'s' * (header.channels > 1)}"
    lines = [
        ("image", f"{header.size[0]}×{header.size[1]} pixels, {pixels}, {header.dtype}"),
    ]
    if "range" in known:
        lines.append(("range", _range(known["range"])))
    psnr_db = read_psnr(file.chunks)
    lines += [
        ("PSNR", "not in the file" if psnr_db is None else psnr_text(psnr_db)),
        ("bytes", f"{header.file_bytes:,}, {header.bits_per_pixel:.3f} bits per pixel"),
        ("parts", _wrapped([f"{part.label} {part.bytes:,}" for part in file.parts])),
    ]
    if metadata := Metadata.from_chunks(file.chunks).info():
        lines.append(("metadata", _wrapped([_metadata_entry(*entry) for entry in metadata.items()])))
    return [*lines, *file.model.lines]


def _wrapped(entries: list[str]) -> str:
    """Join entries, with line breaks only between them."""
    fixed = (entry.replace(" ", "\N{NO-BREAK SPACE}") for entry in entries)
    return "\n".join(textwrap.wrap(", ".join(fixed), VALUE_WIDTH)).replace("\N{NO-BREAK SPACE}", " ")


def _range(bounds: Any) -> str:
    if isinstance(bounds[0], tuple):
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        return f"{low:g} to {high:g}, each channel its own"
    return f"{bounds[0]:g} to {bounds[1]:g}"


def _metadata_entry(name: str, value: Any) -> str:
    if name == "dpi":
        return "×".join(f"{number:g}" for number in value) + " dpi"
    return f"{Part(name, len(value)).label} {len(value):,} bytes"


def _model_table(file: FileBreakdown) -> Table:
    """The rows of the model's breakdown, with bits and bits per element."""
    table = Table(box=None, pad_edge=False)
    first, *others = file.model.headings
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in file.model.rows:
        per_element = f"{row.bits / row.elements:.2f}" if row.elements else ""
        table.add_row(row.label, *row.columns, f"{row.bits:,.1f}", per_element)
    return table
