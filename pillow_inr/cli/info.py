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

from ..format import container
from ..format.info import facts as facts_of
from ..format.info import model_facts
from ..format.metadata import NAMES, Metadata
from ..inputs import sources
from ..inputs.sources import Item
from ..models.siren.architecture import Architecture
from ..plugins import pillow
from ..report import breakdown
from ..report.breakdown import Anatomy, Part, Tensor
from .running import Run

# What stands beside the names of a listing, on 80 columns.
VALUE_WIDTH = 68


@click.command(epilog="Example: pillow-inr info photos --json | jq '.[] | {file, bytes, psnr}'")
@click.argument("inputs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="A list of objects with everything the files know.")
def info(inputs: tuple[str, ...], as_json: bool) -> None:
    """Show what .inr files hold, without decoding their pixels.

    INPUTS are files, folders (all .inr files in and below them) or patterns in quotes. Of a single file, the bytes of
    its parts and the bits of its layers are listed, too.
    """
    items = sources.find(inputs, sources.is_inr, ".inr file")
    run = Run(items)
    found: list[tuple[Path, Anatomy]] = []
    run.each(lambda item: found.append((item.source, _dissect(item))))
    if as_json:
        click.echo(json.dumps([describe(path, file) for path, file in found], indent=2))
    elif len(items) == 1 and found:
        _print_listing(*found[0])
    elif found:
        _print_table(found)
    run.exit()


def _dissect(item: Item) -> Anatomy:
    with item.source.open("rb") as file:
        # A large file of another format is not read for its first bytes.
        prefix = file.read(container.HEADER_MAX_BYTES)
        container.read_header(prefix)
        return breakdown.dissect(prefix + file.read())


def describe(path: Path, file: Anatomy) -> dict[str, Any]:
    """Everything that a file knows, for JSON."""
    header = file.header
    facts = facts_of(header, file.chunks)
    psnr_db = facts.get("psnr")
    return {
        "file": str(path),
        "bytes": header.file_bytes,
        "size": header.size,
        "mode": _mode(header),
        **{name: facts.get(name) for name in ("dtype", "channels", "range")},
        "bits_per_pixel": facts["bits_per_pixel"],
        "psnr": "inf" if psnr_db == math.inf else psnr_db,  # JSON has no infinity
        "format_version": facts["format_version"],
        **model_facts(header),
        "coding": header.coding,
        "metadata": {
            name: list(value) if name == "dpi" else len(value)
            for name, value in Metadata.from_chunks(file.chunks).info().items()
        },
        "parts": [{"part": part.name, "bytes": part.bytes} for part in file.parts],
        **(_grids(file) if file.grids else _layers(file)),
    }


def _layers(file: Anatomy) -> dict[str, Any]:
    """What a SIREN consists of."""
    return {
        "frequencies": file.header.frequencies,
        "growth": file.header.frequency_ratio / 100,
        "layers": [
            {
                "layer": number,
                "bits": layer.bits,
                **{name: _tensor(tensor) for name, tensor in (("kernel", layer.kernel), ("bias", layer.bias))},
            }
            for number, layer in enumerate(file.layers, 1)
        ],
        "end_bits": file.end_bits,
    }


def _grids(file: Anatomy) -> dict[str, Any]:
    """What a pyramid consists of."""
    return {
        "grids": [
            {"level": grid.level, "cells": grid.symbols.size, "nonzero": grid.nonzero, "bits": grid.bits}
            for grid in file.grids
        ],
        "network_bits": file.network_bits,
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"shape": tensor.symbols.shape, "step": tensor.step, "bits": tensor.bits}


def _mode(header: container.Header) -> str | None:
    """Pillow's mode, None where it has none that holds all of the file."""
    if header.dtype == "uint8" and header.channels <= len(container.MODES):
        return container.MODES[header.channels - 1]
    return pillow.mode_of(header) if header.channels == 1 else None


def _pixels(header: container.Header) -> str:
    """What a pixel consists of, in a few letters."""
    return _mode(header) or f"{header.channels}×{header.dtype}"


def _psnr(facts: dict[str, Any]) -> str:
    psnr_db = facts.get("psnr")
    return "-" if psnr_db is None else "exact" if psnr_db == math.inf else f"{psnr_db:.2f}"


def _metadata_names(file: Anatomy) -> str:
    return " ".join("icc" if part.name == "icc_profile" else part.name for part in file.parts if part.name in NAMES)


def _print_table(found: list[tuple[Path, Anatomy]]) -> None:
    """One line a file. Not a rich table: that would fold long names, or fill the lines of short ones up to them."""
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
        console.print(escape("  ".join((*padded, name))), style=None if number else "bold")


def _row(path: Path, file: Anatomy) -> tuple[str, ...]:
    header = file.header
    facts = facts_of(header, file.chunks)
    return (
        f"{header.size[0]}×{header.size[1]}",
        _pixels(header),
        "pyramid" if file.grids else f"{header.width}×{header.depth}",
        f"{header.file_bytes:,}",
        f"{facts['bits_per_pixel']:.3f}",
        _psnr(facts),
        _metadata_names(file),
        click.format_filename(path),
    )


def _print_listing(path: Path, file: Anatomy) -> None:
    console = Console(highlight=False)
    console.print(escape(click.format_filename(path)), style="bold", soft_wrap=True)
    listing = Table(box=None, pad_edge=False, show_header=False)
    listing.add_column(style="bold")
    listing.add_column()
    for name, value in _lines(file):
        listing.add_row(name, escape(value))
    console.print(listing)
    console.print()
    console.print(_grid_table(file) if file.grids else _layer_table(file))


def _lines(file: Anatomy) -> list[tuple[str, str]]:
    header = file.header
    facts = facts_of(header, file.chunks)
    pixels = _mode(header) or f"{header.channels} channel{'s' * (header.channels > 1)}"
    lines = [
        ("image", f"{header.size[0]}×{header.size[1]} pixels, {pixels}, {header.dtype}"),
    ]
    if "range" in facts:
        lines.append(("range", _range(facts["range"])))
    psnr = _psnr(facts)
    lines += [
        ("PSNR", "not in the file" if psnr == "-" else psnr if psnr == "exact" else f"{psnr} dB"),
        ("bytes", f"{header.file_bytes:,}, {facts['bits_per_pixel']:.3f} bits per pixel"),
        ("parts", _wrapped([f"{part.label} {part.bytes:,}" for part in file.parts])),
    ]
    if beside := Metadata.from_chunks(file.chunks).info():
        lines.append(("metadata", _wrapped([_metadatum(*entry) for entry in beside.items()])))
    return lines + (_pyramid_lines(file) if file.grids else _siren_lines(file))


def _siren_lines(file: Anatomy) -> list[tuple[str, str]]:
    header = file.header
    encoding = "plain coordinates"
    if header.frequencies:
        encoding = f"{header.frequencies} Fourier frequencies an axis, ratio {header.frequency_ratio / 100:.2f}"
    return [
        ("network", f"SIREN, {header.depth} sine layers of {header.width} units"),
        ("input", encoding),
        ("weights", f"{Architecture.of(header).weight_count:,}, {_bits_per_weight(file):.2f} bits each"),
    ]


def _pyramid_lines(file: Anatomy) -> list[tuple[str, str]]:
    header = file.header
    tiles = f"{header.tiles[0]}×{header.tiles[1]} of {1 << header.tile} pixels a side" if header.tile else "none"
    return [
        ("model", f"pyramid, preset {header.preset}, prior {header.prior}"),
        ("tiles", tiles),
    ]


def _wrapped(entries: list[str]) -> str:
    """Entries in lines that end between two of them."""
    fixed = (entry.replace(" ", "\N{NO-BREAK SPACE}") for entry in entries)
    return "\n".join(textwrap.wrap(", ".join(fixed), VALUE_WIDTH)).replace("\N{NO-BREAK SPACE}", " ")


def _range(bounds: Any) -> str:
    if isinstance(bounds[0], tuple):
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        return f"{low:g} to {high:g}, each channel its own"
    return f"{bounds[0]:g} to {bounds[1]:g}"


def _metadatum(name: str, value: Any) -> str:
    if name == "dpi":
        return "×".join(f"{number:g}" for number in value) + " dpi"
    return f"{Part(name, len(value)).label} {len(value):,} bytes"


def _bits_per_weight(file: Anatomy) -> float:
    return sum(layer.bits for layer in file.layers) / sum(layer.weight_count for layer in file.layers)


def _layer_table(file: Anatomy) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("layer")
    for heading in ("kernel", "weights", "step", "bits", "bits/weight"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, layer in enumerate(file.layers, 1):
        table.add_row(
            f"{number} sine" if number < len(file.layers) else f"{number} linear",
            "×".join(map(str, layer.kernel.symbols.shape)),
            f"{layer.weight_count:,}",
            f"{layer.kernel.step:.2g}",
            f"{layer.bits:,.1f}",
            f"{layer.bits / layer.weight_count:.2f}",
        )
    table.add_row("end of the stream", "", "", "", f"{file.end_bits:,.1f}", "")
    return table


def _grid_table(file: Anatomy) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("grid")
    for heading in ("cells", "not 0", "bits", "bits/cell"):
        table.add_column(heading, justify="right", no_wrap=True)
    for grid in file.grids:
        cells = grid.symbols.size
        table.add_row(
            f"1/{1 << grid.level}", f"{cells:,}", f"{grid.nonzero:,}", f"{grid.bits:,.1f}", f"{grid.bits / cells:.2f}"
        )
    table.add_row("networks", "", "", f"{file.network_bits:,.1f}", "")
    return table
