"""Reading images of all kinds: what opens, what plugins add, and what a failure says."""

import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillow_inr.inputs import formats, sources
from tests.support.checks import VECTORS, gradient

HEIC_START = b"\0\0\0\x20ftypheic\0\0\0\0"


@pytest.fixture(autouse=True)
def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pillow with which nobody has registered plugins of other packages, whatever other tests do."""
    monkeypatch.setattr(Image, "ID", [known for known in Image.ID if known != "HEIF"])
    monkeypatch.setattr(Image, "OPEN", {known: entry for known, entry in Image.OPEN.items() if known != "HEIF"})
    formats._registered.cache_clear()


def _tiff(path: Path, bands: int, bits: int) -> None:
    """A TIFF of one white pixel by hand: Pillow writes none of five bands."""
    values = [bits] * bands
    tags = {256: 1, 257: 1, 259: 1, 262: 1, 277: bands, 278: 1, 279: bands * bits // 8, 339: 1}
    ifd_end = 8 + 2 + 12 * (len(tags) + 2) + 4
    entries = {tag: (3, 1, value) for tag, value in tags.items()}
    entries |= {258: (3, bands, ifd_end), 273: (4, 1, ifd_end + 2 * bands)}
    data = b"II*\0" + (8).to_bytes(4, "little") + len(entries).to_bytes(2, "little")
    for tag in sorted(entries):
        kind, count, value = entries[tag]
        data += b"".join(
            number.to_bytes(size, "little") for number, size in ((tag, 2), (kind, 2), (count, 4), (value, 4))
        )
    data += bytes(4) + b"".join(value.to_bytes(2, "little") for value in values) + b"\xff" * (bands * bits // 8)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.jpg", b"", "the file is empty"),
        ("random.jpg", bytes(range(7, 200)), "not an image that Pillow can open"),
        ("a.jxl", b"\xff\x0a", "pip install pillow-jxl-plugin"),
        ("a.svg", b"<svg/>", "draw it as PNG first"),
        ("a.exr", b"\x76\x2f\x31\x01", "up to 64 channels in an .npy file"),
        ("a.nef", b"II*\0", "a camera's raw file"),
        ("empty.npy", b"", "the file is empty"),
        ("a.npy", b"no array", "not one of NumPy's files"),
    ],
)
def test_a_failure_says_what_to_do(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for source in (path, io.BytesIO(content)):
        with pytest.raises(OSError) as caught:
            sources.read_to_encode(source, path.suffix, upright=False)
        assert told in sources.reason(caught.value)


def test_a_tiff_of_many_bands_is_told_apart_from_damage(tmp_path: Path) -> None:
    _tiff(tmp_path / "five.tif", 5, 16)
    with pytest.raises(OSError, match=r"a TIFF of 5 bands of 16 bits, .* array of up to 64 channels in an \.npy file"):
        sources.load(tmp_path / "five.tif")
    Image.fromarray(gradient(12, 9)).save(tmp_path / "cut.tif")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:200])
    with pytest.raises(OSError) as caught:
        sources.load(tmp_path / "cut.tif")
    assert "bands" not in str(caught.value)


def test_a_raw_file_is_not_taken_for_its_preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.tif")
    path = (tmp_path / "a.tif").rename(tmp_path / "a.DNG")
    with pytest.raises(OSError, match="at most a preview"):
        sources.load(path)
    monkeypatch.setitem(Image.EXTENSION, ".dng", "TIFF")  # a plugin that claims such files
    assert sources.load(path).size == (12, 9)


def test_a_plugin_that_is_installed_is_registered_when_its_files_are_met(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    picture = Image.fromarray(gradient(64, 64))
    heif.from_pillow(picture).save(tmp_path / "a.HEIC")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.HEIC").read_bytes())  # as telephones name them
    assert "HEIF" not in Image.OPEN
    for name in ("a.HEIC", "a.jpg"):
        pixels = np.asarray(sources.load(tmp_path / name)).astype(int)
        assert np.abs(pixels - np.asarray(picture)).mean() < 10
    stream = io.BytesIO((tmp_path / "a.jpg").read_bytes())
    assert sources.load(stream).size == (64, 64)


@pytest.mark.parametrize(
    ("content", "name", "module", "package"),
    [
        (HEIC_START, "a.hif", "pillow_heif", "pillow-heif"),
        (HEIC_START, "a.jpg", "pillow_heif", "pillow-heif"),
        (b"x", "a.jxl", "pillow_jxl", "pillow-jxl-plugin"),
    ],
)
def test_a_plugin_that_is_missing_or_fails_is_named(
    tmp_path: Path, content: bytes, name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OSError, match=f"pip install {package}"):
        sources.load(tmp_path / name)
    formats._registered.cache_clear()
    monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(register_heif_opener=lambda: None))
    with pytest.raises(OSError, match=r"^not an image that Pillow can open$"):  # it is there, but the file is damaged
        sources.load(tmp_path / name)


def test_an_inr_file_is_not_encoded_again(tmp_path: Path) -> None:
    (tmp_path / "copy.bin").write_bytes((VECTORS / "rgb.inr").read_bytes())
    for upright in (False, True):
        with pytest.raises(OSError, match=r"an \.inr file already"):
            sources.read_to_encode(tmp_path / "copy.bin", ".bin", upright)
    assert sources.read(tmp_path / "copy.bin", ".bin", False).size == (32, 20)


def test_several_images_are_noted_even_if_later_ones_are_damaged(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert sources.read_to_encode(tmp_path / "a.gif", ".gif", False).note == "the first of its 3 images is stored"
    assert sources.read_to_encode(io.BytesIO((tmp_path / "a.gif").read_bytes()), ".gif", False).note
    frames[0].save(tmp_path / "a.png")
    assert sources.read_to_encode(tmp_path / "a.png", ".png", False).note == ""


def test_an_array_in_a_pipe_is_recognized_by_its_content() -> None:
    for save in (np.save, np.savez):
        stream = io.BytesIO()
        save(stream, np.arange(6, dtype=np.uint8).reshape(2, 3))  # type: ignore[operator]
        stream.seek(0)
        content = sources.read_to_encode(stream, "", False)
        assert (np.asarray(content.pixels).tolist(), content.note) == ([[0, 1, 2], [3, 4, 5]], "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(50)),
        ("a.grib", b"GRIB" + bytes(3) + b"\1" + bytes(50)),
        ("a.bufr", b"BUFR" + bytes(50)),
    ],
)
def test_what_pillow_only_recognizes_is_refused_with_advice(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OSError, match=r"convert it, or store its samples as an array .* in an \.npy file"):
        sources.read_to_encode(tmp_path / name, Path(name).suffix, upright=False)
