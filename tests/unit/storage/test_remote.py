"""Files that URLs name: whole or not at all, found by folder and pattern; errors are those of files."""

import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pillow_inr.storage import atomic, remote

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    """What is in memory:// is of the process."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield
    memory.store.clear()


@pytest.mark.parametrize("text", ["s3://photos/a.png", "file:///tmp/a", "memory://a", "gs://b/**/*.jpg"])
def test_urls(text: str) -> None:
    assert remote.is_url(text)


@pytest.mark.parametrize("text", ["photos/a.png", "/tmp/a", "C:/photos", "C:\\photos", "c://photos", "a:b", "://x"])
def test_paths_are_no_urls(text: str) -> None:
    assert not remote.is_url(text)


@pytest.fixture(params=["memory", "file", "aside"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "aside":
        monkeypatch.setattr(remote, "_APPEAR_WHOLE", set())
    return f"file://{tmp_path.as_posix()}/out" if request.param == "file" else "memory://bucket/out"


def test_what_is_written_is_read(folder: str) -> None:
    url = remote.join(folder, "trip/a.inr")
    for data in (b"first", b"second, longer", b""):
        remote.write(url, data)
        assert remote.read(url) == data
    assert remote.sizes(folder) == {"trip/a.inr": 0}
    with pytest.raises(FileNotFoundError):
        remote.read(remote.join(folder, "trip/b.inr"))


def test_a_write_that_fails_leaves_the_older_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_APPEAR_WHOLE", set())
    url = "memory://bucket/a.inr"
    remote.write(url, b"older")

    def fail(*arguments: Any) -> None:
        raise RuntimeError("the network is gone")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "mv", fail)
    with pytest.raises(OSError, match=r"memory://bucket/a.inr: the network is gone"):
        remote.write(url, b"newer")
    assert remote.read(url) == b"older"
    assert list(remote.sizes("memory://bucket")) == ["a.inr"]


def test_a_local_file_is_written_as_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(atomic, "write_atomically", lambda path, data: written.append((path, data)))
    remote.write(f"file://{tmp_path.as_posix()}/a", b"x")
    assert written == [(tmp_path / "a", b"x")]


def test_folders_and_patterns(folder: str) -> None:
    for name in ("b.png", "a.jpg", "trip/c.png", ".hidden/d.png", "trip/.e.png"):
        remote.write(remote.join(folder, name), b"x")
    pngs = [".hidden/d.png", "b.png", "trip/.e.png", "trip/c.png"]
    everything = [(f"{folder}/{name}", name) for name in sorted([*pngs, "a.jpg"])]
    assert remote.expand(folder) == everything
    assert remote.expand(f"{folder}/") == everything
    assert remote.expand(f"{folder}/*") == everything
    assert remote.expand(f"{folder}/*.png") == [(f"{folder}/b.png", "b.png")]
    assert remote.expand(f"{folder}/**/*.png") == [(f"{folder}/{name}", name) for name in pngs]
    assert remote.expand(f"{folder}/t*/c.png") == [(f"{folder}/trip/c.png", "trip/c.png")]
    assert remote.expand(f"{folder}/*.gif") == []
    assert remote.expand(f"{folder}/a.jpg") == [(f"{folder}/a.jpg", "a.jpg")]
    assert remote.expand(f"{folder}/none.jpg") == [(f"{folder}/none.jpg", "none.jpg")]
    assert remote.sizes(f"{folder}/none") == {}


def test_http_is_one_file() -> None:
    assert remote.expand("https://example.org/a.png?size=*") == [("https://example.org/a.png?size=*", "a.png")]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"^nosuch://a: Protocol not known: nosuch"):
        remote.read("nosuch://a")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=r"s3://a/b: URLs need fsspec: pip install 'pillow-inr\[cluster\]'"):
        remote.read("s3://a/b")


@pytest.mark.parametrize("form", ["memory://nowhere/a.png", "file://{}/a.png"])
def test_a_missing_file_is_called_missing(form: str, tmp_path: Path) -> None:
    url = form.format(tmp_path.as_posix())
    with pytest.raises(FileNotFoundError) as caught:
        remote.read(url)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, url)
