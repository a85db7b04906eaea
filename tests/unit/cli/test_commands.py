"""The command line as a user sees it: help, options, exit codes, interruption. Commands also have their own tests."""

import atexit
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("click")

from pillow_inr import api
from pillow_inr.cli import commands, fitting
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.errors import FitError
from pillow_inr.format.metadata import Metadata
from pillow_inr.options import EncodeOptions
from tests.support import container
from tests.support.checks import VECTORS, gradient
from tests.support.cli_checks import QUICK, RGB, exif, photographs, run, tree
from tests.support.fits import no_fit  # noqa: F401

COMMANDS = ("encode", "decode", "info", "compare", "view", "learn")


def test_help_names_the_commands_and_options() -> None:
    text = run("--help").output
    assert all(command in text for command in COMMANDS)
    text = run("encode", "--help").output
    assert all(option in text for option in ("--quality", "--effort", "--width", "--depth", "--time-limit", "--out"))
    assert all(option in text for option in ("--target-bytes", "--bpp", "--psnr", "--init", "--strip"))
    text = run("decode", "--help").output
    assert all(option in text for option in ("--size", "--box", "--format", "--out", "--force", "--quiet"))


@pytest.mark.parametrize("command", ["encode", "batch", "compare"])
def test_every_option_of_an_encode_is_one_of_the_command(command: str) -> None:
    parameters = commands.main.commands[command].params
    names = {field.name for field in fields(EncodeOptions)} - {"progress"}  # the commands show their own
    assert names <= {parameter.name for parameter in parameters}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    # The list of commands shows one whole sentence for each.
    line = next(line for line in run("--help").output.splitlines() if line.split()[:1] == [command])
    assert not line.endswith("...")


def test_damaged_inputs_of_other_formats_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    Image.effect_noise((64, 64), 100).save(path)
    data = bytearray(path.read_bytes())
    data[33:37] = (1000).to_bytes(4, "big")  # the length of the first IDAT chunk
    path.write_bytes(bytes(data))
    result = run("encode", path, *QUICK)
    assert result.exit_code == 1
    assert "broken.png" in result.output
    assert isinstance(result.exception, SystemExit)


def test_the_input_itself_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(RGB.read_bytes())
    result = run("view", path, "-o", path, "--force")
    assert result.exit_code == 1
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png")
    assert "the input itself" in run("compare", tmp_path / "a.png", "-o", tmp_path / "a.png", "--force").output
    assert path.read_bytes() == RGB.read_bytes()
    assert "use encode" in run("decode", path, "-o", tmp_path / "b.inr").output
    assert run("decode", path, RGB, "-o", tmp_path / "b.png").exit_code == 2


def test_bad_options_are_usage_errors(tmp_path: Path) -> None:
    for arguments in (["--width", "0"], ["--depth", "a"], ["--encoding", "hash"], ["--unknown"]):
        assert run("encode", tmp_path / "x.png", *arguments).exit_code == 2
        assert run("compare", tmp_path / "x.png", *arguments).exit_code == 2
    assert run("encode").exit_code == 2
    assert "width must be in 1..1024, got 0" in run("encode", "x.png", "--width", 0).output
    for arguments in (["--size", "30"], ["--size", "axb"], ["--box", "1,2,3"], ["--format", "psd"], ["--init", "no"]):
        assert run("decode", RGB, *arguments).exit_code == 2


def test_goals_exclude_each_other(tmp_path: Path) -> None:
    result = run("encode", tmp_path / "x.png", "--quality", 50, "--target-bytes", 900)
    assert result.exit_code == 2
    assert "quality and target_bytes exclude each other" in result.output
    assert run("encode", tmp_path / "x.png", "--psnr", 30, "--width", 8).exit_code == 2
    for option in ("--target-bytes", "--bpp", "--psnr"):
        result = run("encode", tmp_path / "x.png", option, 0)
        assert result.exit_code == 2
        assert option.removeprefix("--").replace("-", "_") in result.output


class _Encoder:
    """Stands in for `api.encode_source`, without a fit."""

    def __init__(self) -> None:
        self.asked: list[EncodeOptions] = []
        self.sources: list[SourceImage] = []
        self.interrupt_at = -1

    def __call__(self, source: SourceImage, options: EncodeOptions) -> Encoded:
        if len(self.asked) == self.interrupt_at:
            raise KeyboardInterrupt
        self.sources.append(source)
        self.asked.append(options)
        return Encoded(RGB.read_bytes(), 30.0, container.open_model(RGB.read_bytes()))


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> _Encoder:
    encoder = _Encoder()
    monkeypatch.setattr(api, "encode_source", encoder)
    return encoder


def test_goals_reach_the_encoder(tmp_path: Path, encoder: _Encoder) -> None:
    run("decode", RGB, "-o", tmp_path / "a.png")
    goals = {"--target-bytes": 900, "--bpp": 0.5, "--psnr": 31.5, "--quality": 7}
    for option, value in goals.items():
        assert run("encode", tmp_path / "a.png", "--force", option, value, "--time-limit", 9).exit_code == 0
        name = option.removeprefix("--").replace("-", "_")
        # The default quality does not interfere with the other targets.
        assert {key: getattr(encoder.asked[-1], key) for key in ("quality", "target_bytes", "bpp", "psnr")} == {
            **dict.fromkeys(("quality", "target_bytes", "bpp", "psnr")),
            name: value,
        }
        assert encoder.asked[-1].time_limit == 9


def test_metadata_are_kept_or_stripped(tmp_path: Path, encoder: _Encoder) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.jpg", exif=exif(6), comment="hello")
    assert run("encode", tmp_path / "a.jpg").exit_code == 0
    assert run("encode", tmp_path / "a.jpg", "--force", "--strip").exit_code == 0
    kept, stripped = encoder.sources
    assert kept.metadata.exif is not None and kept.metadata.comment == b"hello"
    assert stripped.metadata == Metadata()
    # The orientation is dropped with the EXIF data, so the pixels are turned.
    assert [source.size for source in encoder.sources] == [(12, 9), (9, 12)]


def test_folders_keep_their_tree(tmp_path: Path, encoder: _Encoder) -> None:
    folder = photographs(tmp_path / "photos")
    result = run("encode", folder, "--out", tmp_path / "small")
    assert result.exit_code == 0
    assert tree(tmp_path / "small") == {"b.inr", "grey.inr", "trip/a.inr"}
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3", "3"]
    skipped = "4 skipped: 2 hidden files, 1 not an image (.txt), 1 .inr file"
    assert lines[-1].startswith(f"3 written, 0 failed, {skipped}; {3 * RGB.stat().st_size:,} bytes, ")
    result = run("encode", folder, "--out", tmp_path / "small")
    assert result.exit_code == 1
    assert result.output.count("--force") == 3
    assert result.output.splitlines()[-1].startswith("0 written, 3 failed, 4 skipped")


def test_patterns(tmp_path: Path, encoder: _Encoder) -> None:
    folder = photographs(tmp_path / "photos")
    assert run("encode", f"{folder}/**/*.*", "--out", tmp_path / "small", "--quiet").output == ""
    assert tree(tmp_path / "small") == {"b.inr", "grey.inr", "trip/a.inr"}
    assert run("encode", f"{folder}/*", "--out", tmp_path / "again").exit_code == 0
    assert tree(tmp_path / "again") == {"b.inr", "grey.inr", "trip/a.inr"}
    result = run("encode", f"{folder}/*.tiff", tmp_path / "missing.png", folder / "notes.txt")
    assert result.exit_code == 1
    for complaint in ("no image matches this pattern", "No such file", "not an image that Pillow can open"):
        assert complaint in result.output
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no image in this folder" in run("encode", empty).output


def test_outputs_that_cannot_be(tmp_path: Path, encoder: _Encoder) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png")
    assert "does not end in .inr" in run("encode", tmp_path / "a.png", "-o", tmp_path / "a.webp").output
    result = run("encode", tmp_path / "a.png", "-o", tmp_path / "no" / "a.inr")
    assert result.exit_code == 1
    assert f"{tmp_path / 'no'}: No such file or directory" in result.output
    assert not encoder.asked
    # An output without an ending is a folder, also for a single input.
    assert run("encode", tmp_path / "a.png", "-o", tmp_path / "out").exit_code == 0
    assert tree(tmp_path / "out") == {"a.inr"}


def test_an_output_that_may_not_be_looked_at_is_an_error_of_the_input(tmp_path: Path) -> None:
    result = run("decode", RGB, "-o", tmp_path / ("x" * 300 + ".png"))
    assert result.exit_code == 1
    assert "rgb.inr: " in result.output and "File name too long" in result.output


def test_ctrl_c_says_what_was_finished(tmp_path: Path, encoder: _Encoder) -> None:
    folder = photographs(tmp_path / "photos")
    encoder.interrupt_at = 2
    result = run("encode", folder, "--out", tmp_path / "small")
    assert result.exit_code == 130
    assert result.output.splitlines()[-1] == "pillow-inr: interrupted: 2 of 3 finished, nothing half-written"
    assert tree(tmp_path / "small") == {"b.inr", "grey.inr"}
    encoder.interrupt_at = 2
    assert "interrupted, nothing" in run("encode", folder / "b.png").output


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Restore the usual effect of Ctrl-C: a shell that starts the tests in the background makes them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_met_while_native_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    leaving: list[object] = []
    monkeypatch.setattr(atexit, "register", leaving.append)
    never = threading.Event()
    alarm = threading.Timer(0.1, lambda: signal.raise_signal(signal.SIGINT))
    alarm.start()
    with pytest.raises(KeyboardInterrupt):
        fitting.in_background(lambda: never.wait(30))
    never.set()
    assert len(leaving) == 1  # the process will not wait for the other thread
    assert fitting.in_background(lambda: 7) == 7
    with pytest.raises(FitError, match="diverged"):
        fitting.in_background(_diverge)


def _diverge() -> None:
    raise FitError("diverged")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_an_interrupted_process(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(gradient(12, 9)).save(tmp_path / f"{name}.png")
    code = (
        "import threading, pillow_inr.api as api; from pillow_inr.cli import main\n"
        "def encode(source, options):\n    print('fitting', flush=True)\n    threading.Event().wait(60)\n"
        f"api.encode_source = encode; main(['encode', {str(tmp_path)!r}])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "fitting\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "pillow-inr: interrupted: 0 of 2 finished, nothing half-written\n"
    assert tree(tmp_path) == {"a.png", "b.png"}


def test_the_first_of_several_images(tmp_path: Path, encoder: _Encoder) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    result = run("encode", tmp_path / "a.gif")
    assert result.exit_code == 0
    assert "the first of its 3 images is stored" in result.output


def test_two_inputs_never_share_an_output(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        (folder / "a.inr").write_bytes(RGB.read_bytes())
    result = run("decode", tmp_path / "a.inr", tmp_path / "other" / "a.inr", "-o", tmp_path / "out", "--force")
    assert result.exit_code == 1
    assert "another input" in result.output


def test_no_colours_in_a_pipe(tmp_path: Path) -> None:
    assert "\x1b" not in run("info", RGB, tmp_path / "missing.inr").output


@pytest.mark.keras
def test_a_target_is_kept_and_an_impossible_one_named(tmp_path: Path) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png")
    result = run("encode", tmp_path / "a.png", *QUICK, "--target-bytes", 120)
    assert result.exit_code == 0
    assert (tmp_path / "a.inr").stat().st_size <= 120
    result = run("encode", tmp_path / "a.png", *QUICK, "--target-bytes", 20, "--force")
    assert result.exit_code == 1
    assert "at least" in result.output and "got a target of 20" in result.output


@pytest.mark.usefixtures("no_fit")
def test_photographs_keep_their_orientation(tmp_path: Path) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.jpg", exif=exif(6))
    assert run("encode", tmp_path / "a.jpg", *QUICK).exit_code == 0
    with Image.open(tmp_path / "a.inr") as image:
        assert image.size == (12, 9)
        assert image.getexif()[0x0112] == 6
    assert run("decode", tmp_path / "a.inr").exit_code == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (9, 12)


@pytest.mark.keras
def test_encode_several(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(gradient(12, 9)).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("hello")
    inputs = [tmp_path / f"{name}.png" for name in ("a", "text", "b")]
    result = run("encode", *inputs, *QUICK)
    assert result.exit_code == 1
    assert "not an image" in result.output
    assert {path.name for path in tmp_path.glob("*.inr")} == {"a.inr", "b.inr"}
    assert " bpp" in result.output and " dB" in result.output
    with Image.open(tmp_path / "a.inr") as image:
        assert f"{image.info['psnr']:.2f} dB" in result.output
    result = run("encode", inputs[0], *QUICK)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert run("encode", inputs[0], *QUICK, "--force", "--quiet").output == ""


@pytest.mark.keras
def test_as_a_module_in_a_process_of_its_own(tmp_path: Path) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "pillow_inr", "encode", str(tmp_path / "a.png"), *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    # TensorFlow's start-up log is not shown.
    assert "tensorflow" not in done.stderr.lower()
    assert "a.inr" in done.stderr
    assert "\x1b" not in done.stderr


def test_learn_needs_images(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    result = run("learn", tmp_path / "photos", "-o", tmp_path / "a.npz")
    assert result.exit_code == 1
    assert "no image" in result.output
    assert run("learn", VECTORS, "-o", RGB).exit_code == 1  # the output exists


def test_learn_names_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_inr.cli import learn
    from pillow_inr.cli.running import Run
    from pillow_inr.inputs import finding

    photos = photographs(tmp_path / "photos")
    (photos / "empty.jpg").touch()
    cut = (photos / "b.png").read_bytes()[:-40]
    (photos / "cut.png").write_bytes(cut)
    images = Run(finding.find([str(photos)], finding.PICTURES))
    paths = list(learn._sizes(images))
    assert [path.name for path in paths] == ["b.png", "cut.png", "grey.jpg", "a.webp"]
    pictures = learn._endless(images, paths, 0)
    assert all(next(pictures).shape == (9, 12, 3) for _ in range(8))
    assert images.summary("learned from").startswith("3 learned from, 2 failed, 4 skipped: ")
    only_text = photos / "text"
    only_text.mkdir()
    (only_text / "a.txt").touch()
    result = run("learn", only_text, "-o", tmp_path / "a.npz")
    assert result.exit_code == 1 and "no image in this folder; 1 skipped" in result.output
