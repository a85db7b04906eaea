"""The report: its page, its pictures, the command `pillow-inr report`, and the page in a browser."""

import base64
import hashlib
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pillow_inr.batch import manifest
from pillow_inr.report import images
from pillow_inr.report import page as report_page
from pillow_inr.report.images import views_of
from tests.support import container
from tests.support.checks import VECTORS
from tests.support.cli_checks import run, tree

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\n\u202e\udc80{{ 7 * 7 }}"


def _record(output: str = "rgb.inr", **changes: object) -> dict[str, Any]:
    """A record of a manifest."""
    return {
        "source": f"{Path(output).stem}.png",
        "output": output,
        "status": "done",
        "sha256": "0" * 64,
        "options": {"quality": 40, "effort": 0, "psnr": None, "strip": False},
        "version": "0.1.0",
        "width": 32,
        "height": 20,
        "channels": 3,
        "dtype": "uint8",
        "source_bytes": 2000,
        "bytes": 440,
        "bpp": 5.5,
        "psnr": 30.0,
        "ms_ssim": 0.95,
        "seconds": 2.0,
        "output_sha256": "0" * 64,
        "worker": "host:1",
        "attempts": 1,
        "error": None,
        "time": "2026-01-01T00:00:02+00:00",
        **changes,
    }


def _failed(output: str, error: str) -> dict[str, Any]:
    figures = ("width", "height", "channels", "dtype", "bytes", "bpp", "psnr", "ms_ssim", "seconds", "output_sha256")
    return _record(output, status="failed", error=error, **dict.fromkeys(figures))


def _write(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def _files(folder: Path, name: str, **changes: object) -> dict[str, Any]:
    """Write a vector's .inr file and a slightly different original; returns their record."""
    data = (VECTORS / f"{name}.inr").read_bytes()
    (folder / f"{name}.inr").write_bytes(data)
    pixels = container.open_model(data).pixels()
    source = f"{name}.npy"
    noise = np.random.default_rng(0).integers(0, 9, pixels.shape).astype(pixels.dtype)
    np.save(folder / source, np.where(pixels > 100, pixels - noise, pixels + noise))
    hashes = (hashlib.sha256(each).hexdigest() for each in ((folder / source).read_bytes(), data))
    fields: dict[str, Any] = dict(zip(("sha256", "output_sha256"), hashes, strict=True))
    return _record(f"{name}.inr", source=source, bytes=len(data), **{**fields, **changes})


def _views(folder: Path, record: dict[str, Any]) -> images.Views:
    return views_of(manifest.read(_write(folder, record))[0], folder, folder)


def _file(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def _image(uri: str) -> Image.Image:
    with Image.open(io.BytesIO(_file(uri))) as image:
        image.load()
        return image


class _Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    @property
    def points(self) -> int:
        """Number of points in the scatter plot, counted by their tooltips."""
        return self.text.count(" bpp, ")


def test_page(tmp_path: Path) -> None:
    records = [
        _files(tmp_path, "rgb", psnr=28.0),
        _files(tmp_path, "grey", psnr=33.0, warning="too dark"),
        _failed("c.inr", "it is broken"),
    ]
    page = _Page(report_page.render(_write(tmp_path, *records)))
    for text in (
        "30.50 dB",
        "it is broken",
        "too dark",
        "1 of 3;",
        "quality=40 effort=0",
        "Worst by PSNR",
        "Best by PSNR",
        "0.1.0",
    ):
        assert text in page.text
    assert page.count("article") == 2
    assert page.count("svg") == 4 and page.points == 2
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links == {f"#{attributes['id']}" for tag, attributes in page.tags if tag == "article"}
    # The page loads nothing.
    addresses = [attributes[key] for _, attributes in page.tags for key in ("src", "href") if attributes.get(key)]
    assert all(str(address).startswith(("data:", "#")) for address in addresses)


def test_the_policy_allows_the_script_and_no_other(tmp_path: Path) -> None:
    page = report_page.render(_write(tmp_path, _record())).decode()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert "default-src 'none'" in page and f"script-src 'sha256-{digest}';" in page


def test_hostile_manifests_are_harmless(tmp_path: Path) -> None:
    plain = _Page(report_page.render(_write(tmp_path, _record(), _failed("b.inr", "broken"))))
    names = dict.fromkeys(("source", "version", "worker", "dtype", "time"), HOSTILE)
    failed = _failed("b.inr" + HOSTILE, HOSTILE)
    options = {"quality": HOSTILE, HOSTILE: [HOSTILE]}
    done = _record("a.inr" + HOSTILE, options=options, **names)
    page = _Page(report_page.render(_write(tmp_path, done, failed | {"source": HOSTILE})))
    assert [tag for tag, _ in page.tags if tag in ("script", "img")] == ["script"]
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert "<script>alert(1)</script>" in page.text and r"\n\u202e\udc80{{ 7 * 7 }}" in page.text
    assert "\u202e" not in page.text


def test_figures_that_are_none_are_left_out(tmp_path: Path) -> None:
    wild = {"bytes": 10**30, "psnr": 1e300, "bpp": 1e300, "seconds": -1e300, "ms_ssim": None}
    page = _Page(report_page.render(_write(tmp_path, _record("a.inr", **wild), _record("b.inr"))))
    assert "30.00 dB" in page.text
    assert page.points == 1


def test_worst_and_best(tmp_path: Path) -> None:
    values: list[float | None] = [31.0, 25.0, None, 40.0, 28.0]
    lines = [_record(f"{number}.inr", psnr=value) for number, value in enumerate(values)]
    lines[2]["exact"] = True
    done = manifest.read(_write(tmp_path, *lines))

    def chosen(images: int) -> list[list[str]]:
        return [[record.output[0] for record in records] for records in report_page.choose(done, images)]

    assert chosen(1) == [["1"], ["2"]]
    assert chosen(2) == [["1", "4"], ["2", "3"]]
    assert chosen(9) == [["1", "4", "0"], ["2", "3"]]
    assert chosen(0) == [[], []]


def test_pace_leaves_out_pauses(tmp_path: Path) -> None:
    def line(number: int, end: str) -> dict[str, Any]:
        return _record(f"{number}.inr", seconds=10.0, time=f"2026-01-01T{end}+00:00")

    # Two workers with two images each, and one more image after a pause of hours.
    ends = ["10:00:10", "10:00:10", "10:00:20", "10:00:20", "22:00:10"]
    records = manifest.read(_write(tmp_path, *(line(*each) for each in enumerate(ends))))
    assert report_page.images_per_minute(records) == pytest.approx(60 * 5 / 30)
    assert report_page.images_per_minute([]) is None


def test_many_images(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(20, 40, 5000)
    lines = [_record(f"{number}.inr", psnr=value, bpp=value / 40) for number, value in enumerate(values)]
    failures = [_failed(f"{number}.inr", "broken") for number in range(5000, 5300)]
    page = _Page(report_page.render(_write(tmp_path, *lines, *failures)))
    assert page.points == report_page.POINTS_MAX
    assert "2,000 of 5,000 images, drawn at random" in page.text
    assert "The first 200 of 300" in page.text
    assert page.count("article") == 6


def test_pictures(tmp_path: Path) -> None:
    shown = _views(tmp_path, _files(tmp_path, "rgb"))
    assert [view.key for view in shown.views] == ["original", "inr", "jpeg"]
    assert shown.notes == []
    original = np.load(tmp_path / "rgb.npy")
    decoded = container.open_model((tmp_path / "rgb.inr").read_bytes()).pixels()
    for view, pixels in zip(shown.views, (original, decoded), strict=False):
        np.testing.assert_array_equal(np.asarray(_image(view.uri)), pixels)  # without loss
    assert shown.views[2].uri.startswith("data:image/jpeg;base64,")
    assert shown.views[2].figures.startswith(f"{len(_file(shown.views[2].uri))} bytes, ")
    assert shown.error is not None and shown.error.figures == "8 levels"


@pytest.mark.parametrize("name", ["grey", "grey_alpha", "rgba"])
def test_grey_and_transparent_pictures_have_a_jpeg(tmp_path: Path, name: str) -> None:
    shown = _views(tmp_path, _files(tmp_path, name))
    assert [view.key for view in shown.views] == ["original", "inr", "jpeg"]
    assert _image(shown.views[2].uri).mode == ("L" if name.startswith("grey") else "RGB")
    assert bool(shown.notes) == (name != "grey")


@pytest.mark.parametrize("name", ["grey16", "bands"])
def test_other_samples_are_mapped_to_8_bits(tmp_path: Path, name: str) -> None:
    shown = _views(tmp_path, _files(tmp_path, name))
    assert [view.key for view in shown.views] == ["original", "inr"]
    assert "shown with 8 bits" in shown.notes[0] and "There is no JPEG" in shown.notes[0]
    levels = np.asarray(_image(shown.views[0].uri))
    assert levels.min() <= 10 and levels.max() >= 245
    assert shown.error is not None


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    record = _files(tmp_path, "rgb")
    shown = _views(tmp_path, record | {"sha256": "1" * 64})
    assert shown.notes == ["rgb.npy has changed since it was listed."]
    (tmp_path / "rgb.npy").unlink()
    shown = _views(tmp_path, record)
    assert [view.key for view in shown.views] == ["inr"]
    assert shown.notes == ["The original is not shown: there is no file rgb.npy."]
    assert "at a URL" in _views(tmp_path, record | {"source": "s3://bucket/rgb.png"}).notes[0]
    (tmp_path / "rgb.inr").write_bytes(b"damaged")
    notes = _views(tmp_path, record).notes
    assert len(notes) == 3 and "not an .inr file" in notes[1]
    page = _Page(report_page.render(_write(tmp_path, record)))
    assert "there is no file rgb.npy" in page.text and page.count("img") == 0


def test_an_original_of_another_shape_is_not_compared(tmp_path: Path) -> None:
    record = _files(tmp_path, "rgb")
    np.save(tmp_path / "rgb.npy", np.zeros((4, 5, 3), np.uint8))
    assert any("height×width×channels 4×5×3" in note for note in _views(tmp_path, record).notes)


def test_large_pictures_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SIDE_MAX", 16)
    monkeypatch.setattr(images, "LOSSLESS_PIXELS", 100)
    shown = _views(tmp_path, _files(tmp_path, "rgb"))
    assert shown.error is not None
    assert {_image(view.uri).size for view in (*shown.views, shown.error)} == {(16, 10)}
    assert shown.notes == ["Shown with 16×10 of 32×20 pixels."]
    assert not shown.views[2].uri.startswith("data:image/jpeg")


def test_command(tmp_path: Path) -> None:
    path = _write(tmp_path, _files(tmp_path, "rgb"))
    before = tree(tmp_path)
    result = run("report", path)
    assert result.exit_code == 0, result.output
    page = tmp_path / "report.html"
    assert f"{page}  {page.stat().st_size:,} bytes" in result.output.replace("\n", "")
    assert tree(tmp_path) == before | {"report.html"}
    assert "exists: --force overwrites it" in run("report", path).output
    assert run("report", path, "--force", "--quiet", "--images", 0).output == ""
    assert b"<article" not in page.read_bytes()
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(path, tmp_path / "elsewhere" / path.name)
    assert run("report", moved, "--outputs", tmp_path, "-o", tmp_path / "b.html").exit_code == 0
    assert b'data-view="inr"' in (tmp_path / "b.html").read_bytes()


def test_command_on_what_is_no_manifest(tmp_path: Path) -> None:
    for content, complaint in ((b"", "no image is listed"), (b"{]\n{}\n", "line 1"), (b"\xff\xfe\n{}\n", "")):
        path = tmp_path / "manifest.jsonl"
        path.write_bytes(content)
        result = run("report", path)
        assert result.exit_code == 1
        assert complaint in result.output and "Traceback" not in result.output
    assert run("report", tmp_path / "none.jsonl").exit_code == 1
    assert tree(tmp_path) == {"manifest.jsonl"}


def test_in_a_browser(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no Chromium here")
    name = "a" * 200 + HOSTILE
    records = [_files(tmp_path, "rgb", psnr=28.0), _files(tmp_path, "grey"), _failed(name, HOSTILE * 9)]
    page_path = tmp_path / "report.html"
    page_path.write_bytes(report_page.render(_write(tmp_path, *records)))
    complaints: list[str] = []
    requests: list[str] = []
    arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
        page = context.new_page()
        for event in ("console", "pageerror", "dialog"):
            page.on(event, lambda told: complaints.append(str(told)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        _move_the_slider(page)
        browser.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page_path.as_uri()]


def _move_the_slider(page: Any) -> None:
    slider = page.locator(".slider").first
    stack, handle, left, right = (
        slider.locator(part) for part in (".stack", "input", "select >> nth=0", "select >> nth=1")
    )
    clip = "image => getComputedStyle(image).clipPath"
    over = stack.locator("img").first
    before = over.evaluate(clip)
    handle.focus()
    page.keyboard.press("ArrowRight")
    after_key = over.evaluate(clip)
    assert after_key != before and handle.input_value() == "51"
    assert handle.get_attribute("aria-valuetext") == "51 % original, 49 % .inr"
    box = stack.bounding_box()
    page.touchscreen.tap(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    assert handle.input_value() == "25" and over.evaluate(clip) != after_key
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 5)
    page.mouse.up()
    assert handle.input_value() == "75"
    # Choosing the picture of the other side swaps the two.
    left.select_option("inr")
    assert right.input_value() == "original"
    right.select_option("jpeg")
    assert stack.locator("span").all_text_contents() == [".inr", "JPEG"]
