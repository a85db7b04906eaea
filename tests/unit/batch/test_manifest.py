"""The manifest of a batch: lines of JSON, torn ones, damage."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.batch import manifest
from pillow_inr.batch.manifest import Manifest, Record

FINITE = st.floats(allow_nan=False, allow_infinity=False)
# JSON has no surrogates that stand alone; file names that are no UTF-8 are tested below.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
FIGURES = {"width": 3, "height": 2, "bytes": 50, "bpp": 66.7, "seconds": 1.5}


def record(**fields: Any) -> Record:
    given = {"source": "a.png", "output": "a.inr", "status": "done", "version": "1", "time": "2026-11-23", **FIGURES}
    return Record(**{**given, **fields})


@st.composite
def records(draw: st.DrawFn) -> Record:
    return record(
        source=draw(TEXTS),
        output=draw(TEXTS),
        status=draw(st.sampled_from(["done", "failed"])),
        options=draw(st.dictionaries(TEXTS, st.integers() | FINITE | TEXTS | st.booleans())),
        psnr=draw(st.none() | FINITE),
        exact=draw(st.booleans()),
        error=draw(st.none() | TEXTS),
        attempts=draw(st.integers(1, 9)),
    )


@given(records())
def test_a_line_is_read_as_it_was_written(given: Record) -> None:
    line = given.to_json()
    assert "\n" not in line
    assert Record.from_json(line) == given


def test_the_last_record_of_an_output_counts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "manifest.jsonl"
    with Manifest(path) as book:
        for number, name in enumerate("abca"):
            book.append(record(output=name, attempts=number + 1))
    with Manifest(path) as book:
        book.append(record(output="b", status="failed", error="no"))
    found = manifest.read(path)
    assert [(entry.output, entry.attempts, entry.done) for entry in found] == [
        ("a", 4, True),
        ("b", 1, False),
        ("c", 3, True),
    ]


def test_a_line_that_a_killed_process_left_is_left_out_and_then_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as book:
        book.append(record(output="a"))
    whole = path.read_bytes()
    for length in range(1, 60):
        path.write_bytes(whole + whole[:length])
        assert len(manifest.read(path)) == 1
        with Manifest(path) as book:
            book.append(record(output="b"))
        assert path.read_bytes().startswith(whole)
        assert [entry.output for entry in manifest.read(path)] == ["a", "b"]


def test_a_manifest_that_is_opened_has_been_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as book:
        assert book.earlier == []
        book.append(record(output="a"))
        book.append(record(output="a", attempts=2))
    path.write_bytes(path.read_bytes() + b"{torn")
    read = manifest.read(path)
    with Manifest(path) as book:
        assert book.earlier == read == [record(output="a", attempts=2)]


def test_fields_of_later_releases_are_left_alone() -> None:
    line = json.dumps({**json.loads(record().to_json()), "colour": "blue"})
    assert Record.from_json(line) == record()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{", "line 2"),
        ("[]", "not a JSON object"),
        ("{}", "fields are missing"),
        ("[" * 100_000, "line 2"),
        (json.dumps({**json.loads(record().to_json()), "bytes": "many"}), "bytes must be a finite number"),
        (json.dumps({**json.loads(record().to_json()), "psnr": True}), "psnr must be a finite number"),
        (json.dumps({**json.loads(record().to_json()), "bpp": float("inf")}), "bpp must be a finite number"),
        (json.dumps({**json.loads(record().to_json()), "source": None}), "source must be a string"),
        (json.dumps({**json.loads(record().to_json()), "status": "well"}), "status must be 'done' or 'failed'"),
        (json.dumps({**json.loads(record().to_json()), "options": []}), "options must be an object"),
        (json.dumps({**json.loads(record().to_json()), "width": None}), "figures are missing"),
        ("\xff", "line 2"),
    ],
)
def test_damage_is_named_with_its_line(line: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(f"{record().to_json()}\n".encode() + line.encode("latin-1") + b"\n")
    data = path.read_bytes()
    for read in (manifest.read, Manifest):
        with pytest.raises(ValueError, match=text) as error:
            read(path)
        assert "line 2" in str(error.value)
    assert path.read_bytes() == data


def test_figures_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        record(psnr=float("inf")).to_json()


def test_names_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    with Manifest(path) as book:
        book.append(record(source=name))
    assert [entry.source for entry in manifest.read(path)] == [name]


def test_a_second_batch_is_kept_out(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "manifest.jsonl"
    with Manifest(path), pytest.raises(BlockingIOError, match="another batch"):
        Manifest(path)
    with Manifest(path) as book:
        book.append(record())


def _die_while_writing(path: str) -> None:
    import os

    book = Manifest(Path(path))
    book.append(record(output="a"))
    os._exit(1)


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    process = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(str(path),))
    process.start()
    process.join()
    with Manifest(path) as book:
        book.append(replace(record(), output="b"))
    assert [entry.output for entry in manifest.read(path)] == ["a", "b"]
