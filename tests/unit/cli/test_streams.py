"""Pipes, standard input and output, endings, and streams of any encoding."""

import io
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("click")

from pillow_inr import codec
from pillow_inr.cli import running
from pillow_inr.models.selection import encode_single_colour
from tests.support.cli_checks import RGB, main, run, tree
from tests.support.fits import no_fit  # noqa: F401

ROOT = Path(__file__).parents[3]
POSIX = pytest.mark.skipif(os.name == "nt", reason="pipes with names are POSIX's")
FLAT = Image.new("RGB", (12, 9), (200, 30, 40))


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command of bash in which `pillow-inr` is this package."""
    function = f'pillow-inr() {{ "{sys.executable}" -m pillow_inr "$@"; }}\n'
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", function + command], capture_output=True, cwd=folder, env=variables, timeout=120
    )


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    FLAT.save(tmp_path / "a.png")
    return tmp_path


@POSIX
@pytest.mark.parametrize(
    "command",
    [
        "cat a.png | pillow-inr encode - -o - > a.inr",
        "pillow-inr encode a.png -o - > a.inr",
        "pillow-inr encode a.png -o /dev/stdout > a.inr",
        "pillow-inr encode a.png -o /dev/stdout | cat > a.inr",
        "pillow-inr encode - -o a.inr < a.png",
        "pillow-inr encode /dev/stdin -o a.inr < a.png",
        "pillow-inr encode <(cat a.png) -o a.inr",
        "pillow-inr encode a.png -o >(cat > a.inr); wait $!; sleep 0.2",
    ],
)
def test_encode_from_and_to_pipes(flat: Path, command: str) -> None:
    done = shell(command, flat)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert b"45 bytes" in done.stderr
    with Image.open(flat / "a.inr") as image:
        assert image.getpixel((3, 3)) == (200, 30, 40)
    assert tree(flat) == {"a.png", "a.inr"}


@POSIX
def test_decode_and_info_in_pipes(flat: Path) -> None:
    done = shell(f"cat {RGB} | pillow-inr decode - -o - --format jpg", flat)
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (32, 20))
    assert done.stderr.decode() == "standard output  32×20 RGB\n"
    assert b"32\xc3\x97" in shell(f"cat {RGB} | pillow-inr info -", flat).stdout
    done = shell(f"pillow-inr decode {RGB} -o >(cat > p.png); sleep 0.3", flat)
    assert tree(flat) >= {"p.png"} and not (flat / "-").exists()


def test_messages_never_mix_with_data(tmp_path: Path) -> None:
    result = run("decode", RGB, "-o", "-", "--format", "npy")
    assert np.load(io.BytesIO(result.stdout_bytes)).shape == (20, 32, 3)
    assert result.stderr == "standard output  20×32×3 uint8\n"
    result = run("decode", RGB, tmp_path / "no.inr", "-o", "-")
    assert result.exit_code == 2 and not result.stdout


@POSIX
@pytest.mark.usefixtures("no_fit")
def test_a_named_pipe_is_opened_once(flat: Path) -> None:
    os.mkfifo(flat / "pipe")
    data = (flat / "a.png").read_bytes()
    writer = threading.Thread(target=lambda: (flat / "pipe").write_bytes(data))
    writer.start()
    result = run("encode", flat / "pipe", "-o", flat / "out.inr")
    writer.join(10)
    assert result.exit_code == 0, result.output
    assert (flat / "out.inr").exists()


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("content", ["png", "npy", "gif"])
def test_standard_input_is_any_image_or_array(content: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    stream = io.BytesIO()
    if content == "npy":
        np.save(stream, np.full((9, 12), 7, np.uint8))
    else:
        FLAT.save(stream, content)
    result = CliRunner().invoke(main, ["encode", "-", "-o", str(tmp_path / "a.inr")], input=stream.getvalue())
    assert result.exit_code == 0, result.output
    for bad, told in ((b"", "standard input: the file is empty"), (RGB.read_bytes(), "an .inr file already")):
        result = CliRunner().invoke(main, ["encode", "-", "-o", str(tmp_path / "b.inr")], input=bad)
        assert result.exit_code == 1 and told in result.output
        assert not (tmp_path / "b.inr").exists()


def test_a_pipe_needs_the_name_of_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("encode", "decode"):
        result = run(command, "-")
        assert result.exit_code == 2 and "give --out FILE, or --out -" in result.output
        assert run(command, "-", "-o", tmp_path).exit_code == 2
        assert run(command, "-", RGB, "-o", "folder").exit_code == 2
    assert not tree(tmp_path)


def test_a_terminal_gets_no_binary_data(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = CliRunner().invoke(main, ["decode", str(RGB), "-o", "-"])
    assert result.exit_code == 2
    assert "terminal" in result.output


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        (["encode", "a.png"], "png"),
        (["encode", "a.png"], "webp"),
        (["view", RGB], "gif"),
        (["view", RGB], "txt"),
        (["compare", "a.png"], "inr"),
        (["report", "manifest.jsonl"], "pdf"),
        (["learn", "."], "txt"),
    ],
)
def test_an_ending_that_is_not_that_of_the_output_is_refused_before_any_work(
    flat: Path, arguments: list[str], ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flat)
    result = run(*arguments, "-o", f"out.{ending}")
    assert result.exit_code == 1
    assert f"out.{ending} does not end in ." in result.output
    assert tree(flat) == {"a.png"}


@pytest.mark.parametrize(
    ("ending", "start"),
    [("png", b"\x89PNG"), ("JPG", b"\xff\xd8"), ("webp", b"RIFF"), ("tif", b"II*"), ("pdf", b"%PDF")],
)
def test_the_ending_of_a_picture_decides_its_format(tmp_path: Path, ending: str, start: bytes) -> None:
    target = tmp_path / f"view.{ending}"
    assert run("view", RGB, "-o", target).exit_code == 0
    assert target.read_bytes().startswith(start)
    assert run("view", RGB, "-o", tmp_path / "view.svg").exit_code == 0
    assert "<svg" in (tmp_path / "view.svg").read_text()


def test_every_ending_of_a_picture_can_be_written() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from pillow_inr.cli.show import PICTURE_ENDINGS, picture_format

    assert {picture_format(ending) for ending in PICTURE_ENDINGS} <= set(FigureCanvasAgg.get_supported_filetypes())


@pytest.mark.usefixtures("no_fit")
def test_the_name_is_the_next_one_if_another_input_has_it(tmp_path: Path) -> None:
    for ending in ("gif", "ico", "png"):
        FLAT.save(tmp_path / f"hopper.{ending}")
    result = run("encode", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert tree(tmp_path / "out") == {"hopper.inr", "hopper.ico.inr", "hopper.png.inr"}
    assert f"hopper.ico: the name {tmp_path / 'out' / 'hopper.inr'} goes to {tmp_path / 'hopper.gif'}" in result.output
    assert run("encode", tmp_path).exit_code == 0  # beside the inputs as well
    assert (tmp_path / "hopper.ico.inr").exists()


@pytest.mark.usefixtures("no_fit")
def test_the_same_input_twice_is_encoded_once(flat: Path) -> None:
    result = run("encode", flat / "a.png", flat / ".." / flat.name / "a.png")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == 1


def test_an_inr_file_is_refused_before_any_work(tmp_path: Path) -> None:
    for arguments in ([], ["-o", tmp_path / "b.inr"], ["--force"]):
        result = run("encode", RGB, *arguments)
        assert result.exit_code == 1 and "an .inr file already" in result.output
    result = run("batch", RGB, "-o", tmp_path / "out", "-j", 1)
    assert result.exit_code == 1 and "an .inr file already" in result.output


@pytest.mark.usefixtures("no_fit")
def test_the_last_line_counts_every_file(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    FLAT.save(photos / "ok.png")
    for name in ("empty.jpg", "b.HEIC", "c.npy"):
        (photos / name).touch()
    for name in ("notes.txt", ".DS_Store"):
        (photos / name).write_text("hello")
    result = run("encode", photos, "-o", tmp_path / "out")
    assert result.exit_code == 1
    expected = "1 written, 3 failed, 2 skipped: 1 hidden file, 1 not an image (.txt)"
    assert result.output.splitlines()[-1].startswith(expected)
    assert all(f"photos/{name}: " in result.output for name in ("empty.jpg", "b.HEIC", "c.npy"))
    (photos / "sub").mkdir()
    (photos / "sub" / "a.txt").touch()
    result = run("encode", photos / "sub")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("0 written, 0 failed, 1 skipped: 1 not an image (.txt)")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16", "koi8-r"])
def test_every_encoding_of_the_streams_will_do(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "grün ….inr"
    path.write_bytes(RGB.read_bytes())
    for arguments in (["info", path], ["info", path, RGB], ["decode", path, "-f"], ["decode", path], ["--help"]):
        command = [sys.executable, "-m", "pillow_inr", *map(str, arguments)]
        variables = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        assert done.returncode == (arguments == ["decode", path])
        if arguments == ["info", path] and encoding == "ascii":
            assert b"32x20" in done.stdout


@POSIX
@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are Unicode")
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_are_no_text_come_out_as_their_bytes(tmp_path: Path, encoding: str) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xe9.inr"
    Path(os.fsdecode(path)).write_bytes(RGB.read_bytes())
    for locale in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}):
        variables = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), **locale}
        command = [sys.executable, "-m", "pillow_inr", "decode", path, "-f"]
        done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
        assert done.returncode == 0, done.stderr
        assert b"/\xff\xe9.png" in done.stderr


@POSIX
def test_names_do_not_control_the_terminal(tmp_path: Path) -> None:
    for name in ("a\x1b[2J.inr", "b\nwritten.inr", "c\x9b31m.inr"):
        (tmp_path / name).write_bytes(RGB.read_bytes() if name[0] == "a" else b"")
    for command in ("decode", "info"):
        output = run(command, tmp_path).output
        assert "a\\x1b[2J." in output
        assert "b\\nwritten.inr" in output
        assert not {"\x1b", "\x9b"} & set(output)


@POSIX
def test_closed_streams_are_named(flat: Path) -> None:
    for command in ("pillow-inr encode a.png -o - >&-", "pillow-inr encode - -o x.inr <&-", "pillow-inr info - <&-"):
        done = shell(command, flat)
        assert done.returncode in (1, 2)
        assert b" is closed" in done.stderr
        assert b"Traceback" not in done.stderr


@POSIX
def test_commands_need_no_streams_that_they_do_not_use(flat: Path) -> None:
    closed = "<&- >&- 2>&-"
    for command in ("encode a.png", "decode a.inr -o b.png", "compare a.png --inr a.inr -o c.png", "info a.inr"):
        assert shell(f"pillow-inr {command} {closed}", flat).returncode == 0, command
    assert {path.name for path in flat.iterdir()} == {"a.png", "a.inr", "b.png", "c.png"}


def test_spelling_replaces_what_an_encoding_lacks() -> None:
    running.print_in_any_encoding()
    assert "12×9 …\udcff日".encode("ascii", "pillow_inr-spelled") == b"12x9 ...\xff?"


@given(
    st.text(st.characters()),
    st.sampled_from(
        ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16", "utf-32", "koi8-r", "shift_jis", "gb2312"]
    ),
)
def test_any_text_is_printed_in_any_encoding(text: str, encoding: str) -> None:
    running.print_in_any_encoding()
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="pillow_inr-spelled")
    stream.write(text)
    stream.flush()


ENDINGS = ["png", "jpg", "heic", "tif", "npy", "inr", "txt", "svg", "exr", "nef", "bin", ""]


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["", "sub/", ".hidden/"]), st.sampled_from("ab"), st.sampled_from(ENDINGS)),
        st.sampled_from(["empty", "text", "picture", "array", "inr", "heic", "noise"]),
        min_size=1,
        max_size=7,
    )
)
def test_of_any_folder_written_failed_and_skipped_are_all_files(files: dict[tuple[str, str, str], str]) -> None:
    array, picture = io.BytesIO(), io.BytesIO()
    np.save(array, np.full((4, 5), 7, np.uint8))
    FLAT.save(picture, "png")
    contents = {
        "empty": b"",
        "text": b"hello",
        "picture": picture.getvalue(),
        "array": array.getvalue(),
        "inr": RGB.read_bytes(),
        "heic": b"\0\0\0\x20ftypheic",
        "noise": bytes(range(3, 250)),
    }
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "encode_source", lambda source, options: encode_single_colour(source))
        photos, small = Path(name, "photos"), Path(name, "small")
        for (below, stem, ending), content in files.items():
            path = photos / below / (f"{stem}.{ending}" if ending else stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[content])
        result = run("encode", photos, "-o", small)
        assert isinstance(result.exception, SystemExit | None)
        written = len(tree(small)) if small.exists() else 0
        failed = sum(
            line.startswith("pillow-inr: ") and "in this folder" not in line for line in result.output.splitlines()
        )
        counts = re.match(r"(\d+) written, (\d+) failed, (\d+) skipped", result.output.splitlines()[-1])
        skipped = 0
        if counts is not None:
            assert [int(number) for number in counts.groups()][:2] == [written, failed]
            skipped = int(counts[3])
        assert written + failed + skipped == len(files)
        assert result.exit_code == (1 if failed or not written else 0)


@POSIX
@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("name", ["a\nb.png", "a\x1b[31mb.png", "a\rb.png", "a\u2028b.png"])
def test_names_that_would_move_the_cursor_are_spelled_in_one_line(tmp_path: Path, name: str) -> None:
    FLAT.save(tmp_path / name)
    (tmp_path / f"broken{name}").write_bytes(b"")
    output = run("encode", tmp_path).output
    assert len(output.splitlines()) == 3
    assert not any(mark in output for mark in "\x1b\r\u2028")


@pytest.mark.usefixtures("no_fit")
def test_warnings_of_pillow_are_messages_and_name_no_source_file(tmp_path: Path) -> None:
    FLAT.save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(_with_raw_exif((tmp_path / "a.png").read_bytes()))
    run("encode", tmp_path / "a.png")
    for arguments in (("encode", tmp_path / "a.png", "-f"), ("decode", tmp_path / "a.inr", "-o", tmp_path / "b.png")):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            result = run(*arguments)
        assert result.exit_code == 0
        assert ".py" not in result.output


def test_what_is_no_inr_file_is_called_so_in_decode(tmp_path: Path) -> None:
    FLAT.save(tmp_path / "a.png")
    assert "not an .inr file" in run("decode", tmp_path / "a.png").output


def _with_raw_exif(png: bytes) -> bytes:
    """The PNG with EXIF data whose directory lies beyond their end."""
    data = b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(6)
    chunk = b"tEXtRaw profile type exif\0" + f"\nexif\n      20\n{data.hex()}\n".encode()
    length = struct.pack(">I", len(chunk) - 4)
    return png[:33] + length + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
