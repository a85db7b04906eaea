"""Which files inputs name, and that every other file is counted."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pillow_inr.batch import finding as batch_finding
from pillow_inr.inputs import finding, formats, sources
from pillow_inr.inputs.finding import Found
from tests.support.checks import VECTORS, gradient

RGB = (VECTORS / "rgb.inr").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the kinds that people have."""
    found = tmp_path / "photos"
    (found / "trip").mkdir(parents=True)
    Image.fromarray(gradient(12, 9)).save(found / "ok.png")
    (found / "noname").write_bytes((found / "ok.png").read_bytes())
    for name in ("empty.jpg", "IMG.HEIC", "scan.CR2", "stack.npy", "trip/a.svg", "trip/film.mpg"):
        (found / name).touch()
    for name in ("notes.txt", "ok.xmp", "README", ".DS_Store", "trip/.hidden.png"):
        (found / name).write_text("hello")
    for name in ("old.inr", "trip/renamed.bin"):
        (found / name).write_bytes(RGB)
    return found


def names(found: Found) -> list[str]:
    return [item.below.as_posix() for item in found.items]


def test_what_looks_like_an_image_is_tried_and_the_rest_is_counted(folder: Path) -> None:
    found = finding.find([str(folder)], finding.IMAGES)
    assert names(found) == ["IMG.HEIC", "empty.jpg", "noname", "ok.png", "scan.CR2", "stack.npy", "trip/a.svg"]
    assert found.skipped.summary() == (
        "8 skipped: 2 hidden files, 4 not images (.mpg, .txt, .xmp, no ending), 2 .inr files"
    )
    files = finding.find([str(folder)], finding.INRS)
    assert names(files) == ["old.inr", "trip/renamed.bin"]
    assert len(files.items) + len(files.skipped) == 15


def test_a_volume_of_another_format_with_our_ending_is_tried_and_named(folder: Path) -> None:
    (folder / "brain.inr").write_bytes(b"#INRIMAGE-4#{\nXDIM=4\n")
    assert "brain.inr" in names(finding.find([str(folder)], finding.IMAGES))
    with pytest.raises(OSError, match="INRIMAGE-4 volume"):
        sources.load(folder / "brain.inr")


def test_a_list_of_paths_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    (folder / "list.txt").write_text(f"\ufeff{folder / 'ok.png'}\r\n\r\n{folder / 'missing.png'}\r\n", encoding="utf-8")
    found = batch_finding.find(f"@{folder / 'list.txt'}")
    assert [source.path for source in found.sources] == [str(folder / "ok.png"), str(folder / "missing.png")]


def test_pictures_are_no_arrays(folder: Path) -> None:
    found = finding.find([str(folder)], finding.PICTURES)
    assert "stack.npy" not in names(found)
    assert "1 array" in found.skipped.summary()


@pytest.mark.skipif(os.name == "nt", reason="links need rights, and there are no named pipes")
def test_links_and_pipes(folder: Path) -> None:
    (folder / "linked").symlink_to(folder / "trip")
    (folder / "again.png").symlink_to(folder / "ok.png")
    (folder / "broken.jpg").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.png")
    found = finding.find([str(folder)], finding.IMAGES)
    assert {"again.png", "broken.jpg", "ok.png"} <= set(names(found))  # the broken one fails, by its name
    summary = found.skipped.summary()
    assert "1 pipe or device" in summary and summary.endswith("1 linked folder not followed")


def test_a_folder_that_cannot_be_listed_is_named_and_the_others_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing: Callable[[Path], object] = Path.iterdir

    def iterdir(path: Path) -> object:
        if path.name == "trip":
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    found = finding.find([str(folder)], finding.IMAGES)
    (problem,) = [item for item in found.items if item.problem is not None]
    assert problem.source.name == "trip" and problem.problem == "Permission denied" and not problem.is_file
    assert "ok.png" in names(found)


def test_a_file_named_twice_is_found_once(folder: Path) -> None:
    around = str(folder / "trip" / ".." / "ok.png")
    found = finding.find(
        [str(folder / "ok.png"), around, str(folder / "*.png"), str(folder / "notes.txt")], finding.IMAGES
    )
    assert names(found) == ["ok.png", "notes.txt"]
    again = finding.find([str(folder), str(folder / "notes.txt"), str(folder / ".DS_Store")], finding.IMAGES)
    assert len(again.items) + len(again.skipped) == 15
    assert len(finding.find([around, around], finding.IMAGES, once=False).items) == 2


def test_a_dash_is_standard_input_but_a_file_may_have_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("./-").touch()
    found = finding.find(["-", "./-"], finding.IMAGES)
    assert [item.source for item in found.items] == [finding.STDIN, tmp_path / "-"]
    Path("-").write_bytes(b"P5 1 1 255\n1")
    for text in (".", "*"):
        found = finding.find([text], finding.IMAGES)
        assert [(item.source, item.below) for item in found.items] == [(tmp_path / "-", Path("-"))]


def test_a_batch_counts_files_at_urls_by_their_names(folder: Path) -> None:
    pytest.importorskip("fsspec")
    found = batch_finding.find([f"file://{folder}"])
    expected = {"IMG.HEIC", "empty.jpg", "ok.png", "scan.CR2", "stack.npy", "trip/a.svg"}
    assert {str(source.below) for source in found.sources} == expected  # without an ending it is not opened
    assert len(found.sources) + len(found.skipped) == 15
    with pytest.raises(ValueError, match="standard input"):
        batch_finding.find(["-"])


ENDINGS = ["png", "JPG", "heic", "tif", "npy", "npz", "inr", "txt", "mp4", "nef", "svg", "exr", "pdf", "bin", ""]
CONTENTS = [b"", b"hello", RGB, b"\x89PNG\r\n\x1a\n", b"II*\0", b"\x93NUMPY", b"\0\0\0\x20ftypheic", bytes(range(256))]
FILES = st.dictionaries(
    st.tuples(
        st.sampled_from(["", "sub/", ".hid/", "sub/deep/"]), st.sampled_from(["a", "b", ".c"]), st.sampled_from(ENDINGS)
    ),
    st.sampled_from(CONTENTS),
    max_size=8,
)


@given(FILES)
def test_of_any_folder_every_file_is_wanted_or_skipped(files: dict[tuple[str, str, str], bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for (below, stem, ending), content in files.items():
            path = Path(name, below, f"{stem}.{ending}" if ending else stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for wanted in (finding.IMAGES, finding.INRS, finding.PICTURES):
            found = finding.find([name], wanted)
            assert sum(item.is_file for item in found.items) + len(found.skipped) == len(files)
        sources, skipped = batch_finding.find(name)
        assert sum(source.is_file for source in sources) + len(skipped) == len(files)
        for item in finding.find([name], finding.IMAGES).items:
            assert not item.is_file or not formats.is_inr_name(item.source)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://example.org/a.png", "URLs"),
        ("file:///a/*.png", "URLs"),
        ("memory://photos", "URLs"),
        ("@list.txt", "lists"),
    ],
)
def test_what_only_a_batch_reads_is_no_missing_file(text: str, told: str) -> None:
    found = finding.find([text], finding.IMAGES)
    (item,) = found.items
    assert item.problem is not None
    assert item.problem.startswith(f"only 'pillow-inr batch' reads {told}")
    assert item.is_file


def test_a_file_with_the_name_of_a_list_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("L", (2, 2)).save("@a.png")
    (item,) = finding.find(["@a.png"], finding.IMAGES).items
    assert item.problem is None
