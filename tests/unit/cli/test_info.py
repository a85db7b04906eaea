"""`pillow-inr info`: the table of several files, the listing of a single one, JSON."""

import json
import math
import os
import sys
from pathlib import Path

import pytest

from pillow_inr.format.metadata import Metadata
from tests.support.checks import SAMPLES, VECTORS, as_samples
from tests.support.cli_checks import RGB, exif, run, with_chunks
from tests.support.container import SampleFormat

GREY = VECTORS / "grey.inr"


def test_table(tmp_path: Path) -> None:
    described = tmp_path / "described.inr"
    described.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=exif(), icc_profile=b"profile"), 31.246))
    result = run("info", described, GREY, SAMPLES / "kodim15.inr")
    assert result.exit_code == 0
    heading, *lines = result.output.splitlines()
    assert heading.split() == ["size", "pixels", "model", "bytes", "bpp", "dB", "metadata", "file"]
    assert lines[0].split()[:3] == ["32×20", "RGB", "8×2"]
    assert "31.25  exif icc  " in lines[0]
    assert lines[1].split()[5] == "-"
    assert f"{(SAMPLES / 'kodim15.inr').stat().st_size:,}" in lines[2]
    # Long names are not cut.
    assert [line.split()[-1] for line in lines] == [str(described), str(GREY), str(SAMPLES / "kodim15.inr")]


def test_errors_stand_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "text.inr").write_text("hello")
    damaged = tmp_path / "damaged.inr"
    damaged.write_bytes(RGB.read_bytes()[:-1] + b"?")
    result = run("info", tmp_path / "text.inr", RGB, damaged, tmp_path / "missing.inr")
    assert result.exit_code == 1
    for complaint in ("text.inr: not an .inr file", "damaged.inr: the file is damaged", "missing.inr: No such file"):
        assert complaint in result.output
    assert "32×20" in result.output


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("a.inr", "below/b.inr"):
        (tmp_path / name).write_bytes(RGB.read_bytes())
    (tmp_path / "c.png").write_bytes(b"")
    result = run("info", tmp_path)
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == "2 listed, 0 failed, 1 skipped: 1 not an .inr file (.png)\n"


def test_listing_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=exif(), comment=b"hello", dpi=(72.0, 96.0)), 30.0))
    text = run("info", path).output
    for part in ("32×20 pixels, RGB, uint8", "30.00 dB", "72×96 dpi", "comment 5 bytes", "2 sine layers of 8 units"):
        assert part in text
    assert f"EXIF {len(exif())} bytes" in text
    assert "1 sine" in text and "3 linear" in text and "end of the stream" in text
    first, *others = text.splitlines()
    assert first == str(path)
    assert max(map(len, others)) <= 80


def test_other_samples(tmp_path: Path) -> None:
    path = tmp_path / "deep.inr"
    path.write_bytes(as_samples(RGB.read_bytes(), SampleFormat("float32", 3, ((-1.5, 2.0),))))
    text = run("info", path).output
    assert "3 channels, float32" in text and "-1.5 to 2" in text
    assert "3×float32" in run("info", path, path).output
    path.write_bytes(as_samples(RGB.read_bytes(), SampleFormat("float32", 3, ((-1.5, 2.0), (0.0, 1.0), (0.0, 9.0)))))
    assert "-1.5 to 9, each channel its own" in run("info", path).output
    known = json.loads(run("info", path, "--json").output)[0]
    assert known["mode"] is None
    assert known["range"] == [[-1.5, 2.0], [0.0, 1.0], [0.0, 9.0]]


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=exif(), dpi=(72.0, 96.0)), 30.25))
    exact = tmp_path / "exact.inr"
    exact.write_bytes(with_chunks(GREY.read_bytes(), Metadata(), math.inf))
    result = run("info", path, exact, tmp_path / "missing.inr", "--json")
    assert result.exit_code == 1
    known, other = json.loads(result.stdout)
    assert (known["file"], known["size"], known["mode"]) == (str(path), [32, 20], "RGB")
    assert (known["dtype"], known["channels"], known["psnr"]) == ("uint8", 3, 30.25)
    assert known["metadata"] == {"exif": len(exif()), "dpi": [72.0, 96.0]}
    assert sum(part["bytes"] for part in known["parts"]) == known["bytes"] == path.stat().st_size
    weights = next(part["bytes"] for part in known["parts"] if part["part"] == "weights")
    assert math.isclose(sum(layer["bits"] for layer in known["layers"]) + known["end_bits"], 8 * weights)
    first = known["layers"][0]
    assert first["kernel"]["shape"][1] == known["width"] and first["bias"]["shape"] == [known["width"]]
    assert math.isclose(first["bits"], first["kernel"]["bits"] + first["bias"]["bits"])
    assert other["psnr"] == "inf"
    assert json.loads(run("info", tmp_path / "missing.inr", "--json").stdout) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are arbitrary bytes")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.inr"))
    path.write_bytes(RGB.read_bytes())
    assert "\N{REPLACEMENT CHARACTER}.inr" in run("info", path).stdout
    assert "\N{REPLACEMENT CHARACTER}.inr" in run("info", path, RGB).stdout
    assert json.loads(run("info", path, "--json").stdout)[0]["file"] == str(path)
    assert run("view", path, "-o", tmp_path / "a.png").exit_code == 0
