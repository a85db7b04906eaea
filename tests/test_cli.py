"""The command line as a user meets it: output, exit codes, files left behind."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pillow_inr import api
from pillow_inr.cli import main
from pillow_inr.metadata import psnr_chunk

from .checks import VECTORS, gradient, with_chunks

RGB = VECTORS / "rgb.inr"
QUICK = ["--width", "8", "--depth", "2", "--steps", "40"]


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_help_names_the_commands_and_options() -> None:
    text = _run("--help").output
    assert all(command in text for command in ("encode", "decode", "info"))
    text = _run("encode", "--help").output
    assert all(option in text for option in ("--quality", "--effort", "--width", "--depth", "--time-limit", "--out"))
    assert all(option in text for option in ("--target-bytes", "--bpp", "--psnr", "--init"))


def test_info(tmp_path: Path) -> None:
    result = _run("info", RGB, VECTORS / "grey.inr")
    assert result.exit_code == 0
    assert "siren" in result.output
    assert f"{RGB.stat().st_size:,}" in result.output
    (tmp_path / "text.inr").write_text("hello")
    result = _run("info", tmp_path / "text.inr", RGB)
    assert result.exit_code == 1
    assert "not an .inr file" in result.output
    assert "siren" in result.output


def test_decode(tmp_path: Path) -> None:
    result = _run("decode", RGB, "--out", tmp_path / "copy.png")
    assert result.exit_code == 0
    with Image.open(tmp_path / "copy.png") as copy, Image.open(RGB) as original:
        np.testing.assert_array_equal(np.asarray(copy), np.asarray(original))
    assert _run("decode", RGB, "--out", tmp_path / "copy.png").exit_code == 1
    assert _run("decode", RGB, "--out", tmp_path / "copy.png", "--force").exit_code == 0
    result = _run("decode", RGB, "-o", tmp_path / "copy.strange")
    assert result.exit_code == 1
    assert ".strange" in result.output
    assert not (tmp_path / "copy.strange").exists()


def test_a_failing_decode_keeps_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "copy.jpg"
    target.write_bytes(b"older")
    result = _run("decode", VECTORS / "rgba.inr", "-o", target, "--force")
    assert result.exit_code == 1
    assert "cannot write mode RGBA as JPEG" in result.output
    assert target.read_bytes() == b"older"


def test_two_inputs_never_share_an_output(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        (folder / "a.inr").write_bytes(RGB.read_bytes())
    result = _run("decode", tmp_path / "a.inr", tmp_path / "other" / "a.inr", "-o", tmp_path / "out", "--force")
    assert result.exit_code == 1
    assert "another input" in result.output


def test_damaged_inputs_of_other_formats_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    Image.effect_noise((64, 64), 100).save(path)
    data = bytearray(path.read_bytes())
    data[33:37] = (1000).to_bytes(4, "big")  # the length of the first IDAT chunk
    path.write_bytes(bytes(data))
    result = _run("encode", path, *QUICK)
    assert result.exit_code == 1
    assert "broken.png" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_folder_that_is_missing_is_named_before_any_work(tmp_path: Path) -> None:
    result = _run("decode", RGB, "-o", tmp_path / "no" / "x.png")
    assert result.exit_code == 1
    assert "No such file or directory" in result.output


def test_decode_into_a_folder_goes_on_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.inr").write_text("hello")
    result = _run("decode", tmp_path / "text.inr", RGB, tmp_path / "missing.inr", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "missing.inr: No such file or directory" in result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rgb.png"]


def test_the_input_itself_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(RGB.read_bytes())
    result = _run("encode", path, "--force", *QUICK)
    assert result.exit_code == 1
    assert "the input itself" in result.output
    assert path.read_bytes() == RGB.read_bytes()
    assert "use encode" in _run("decode", path, "-o", tmp_path / "b.inr").output
    assert _run("decode", path, RGB, "-o", tmp_path / "b.png").exit_code == 2


def test_bad_options_are_usage_errors(tmp_path: Path) -> None:
    for arguments in (["--width", "0"], ["--depth", "a"], ["--encoding", "hash"], ["--unknown"]):
        assert _run("encode", tmp_path / "x.png", *arguments).exit_code == 2
    assert _run("encode").exit_code == 2
    assert "width must be in 1..1024, got 0" in _run("encode", "x.png", "--width", 0).output


def test_goals_reach_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run("decode", RGB, "-o", tmp_path / "a.png")
    asked: list[dict[str, Any]] = []

    def encode(image: Image.Image, **options: Any) -> bytes:
        asked.append({name: value for name, value in options.items() if value is not None})
        return with_chunks(RGB.read_bytes(), psnr_chunk(30.0))

    monkeypatch.setattr(api, "encode", encode)
    goals = {"--target-bytes": 900, "--bpp": 0.5, "--psnr": 31.5, "--quality": 7}
    for option, value in goals.items():
        assert _run("encode", tmp_path / "a.png", "--force", option, value, "--time-limit", 9).exit_code == 0
        name = option.removeprefix("--").replace("-", "_")
        # The default quality does not get into the way of the others.
        assert {key: asked[-1].get(key) for key in ("quality", "target_bytes", "bpp", "psnr")} == {
            **dict.fromkeys(("quality", "target_bytes", "bpp", "psnr")),
            name: value,
        }
        assert asked[-1]["time_limit"] == 9


def test_goals_exclude_each_other(tmp_path: Path) -> None:
    result = _run("encode", tmp_path / "x.png", "--quality", 50, "--target-bytes", 900)
    assert result.exit_code == 2
    assert "quality and target_bytes exclude each other" in result.output
    assert _run("encode", tmp_path / "x.png", "--psnr", 30, "--width", 8).exit_code == 2
    for option in ("--target-bytes", "--bpp", "--psnr"):
        result = _run("encode", tmp_path / "x.png", option, 0)
        assert result.exit_code == 2
        assert option.removeprefix("--").replace("-", "_") in result.output


@pytest.mark.keras
def test_a_target_is_kept_and_an_impossible_one_named(tmp_path: Path) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png")
    result = _run("encode", tmp_path / "a.png", *QUICK, "--target-bytes", 120)
    assert result.exit_code == 0
    assert (tmp_path / "a.inr").stat().st_size <= 120
    result = _run("encode", tmp_path / "a.png", *QUICK, "--target-bytes", 20, "--force")
    assert result.exit_code == 1
    assert "at least" in result.output and "got a target of 20" in result.output


@pytest.mark.keras
def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # orientation: turn by 90 degrees
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.jpg", exif=exif)
    assert _run("encode", tmp_path / "a.jpg", *QUICK).exit_code == 0
    with Image.open(tmp_path / "a.inr") as image:
        assert image.size == (9, 12)


@pytest.mark.keras
def test_encode_several(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(gradient(12, 9)).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("hello")
    inputs = [tmp_path / f"{name}.png" for name in ("a", "text", "b")]
    result = _run("encode", *inputs, *QUICK)
    assert result.exit_code == 1
    assert "cannot identify" in result.output
    assert {path.name for path in tmp_path.glob("*.inr")} == {"a.inr", "b.inr"}
    assert " bpp" in result.output and " dB" in result.output
    result = _run("encode", inputs[0], *QUICK)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert _run("encode", inputs[0], *QUICK, "--force", "--quiet").output == ""


@pytest.mark.keras
def test_as_a_module_in_a_process_of_its_own(tmp_path: Path) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "pillow_inr", "encode", str(tmp_path / "a.png"), *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    # Nothing of TensorFlow's start-up log comes through.
    assert "tensorflow" not in done.stderr.lower()
    assert "a.inr" in done.stderr
