"""`pillow-inr batch`: options, messages, exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("click")

from pillow_inr.batch import local, manifest, planning, worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.planning import Plan
from pillow_inr.batch.worker import Task, failed
from pillow_inr.errors import BackendError
from tests.support.cli_checks import QUICK, photographs, run
from tests.support.fits import no_fit  # noqa: F401


def done(name: str, **figures: Any) -> Record:
    usual = {
        "width": 30,
        "height": 20,
        "bytes": 1500,
        "bpp": 20.0,
        "seconds": 2.0,
        "psnr": 31.234,
        "source_bytes": 9000,
    }
    record = failed(Task(f"photos/{name}.png", f"out/{name}.inr", f"{name}.inr"), "")
    return Record(**{**vars(record), **usual, **figures, "status": "done", "error": None})


class FakeBatch:
    """Stands in for `planning.encode_many`."""

    def __init__(self, records: list[Record], finished: int = 0, error: BaseException | None = None) -> None:
        self.records = records
        self.finished = finished
        self.error = error
        self.asked: dict[str, Any] = {}

    def __call__(self, paths: Any, folder: str, **options: Any) -> list[Record]:
        self.asked = {"paths": paths, "folder": folder, **options}
        new = self.records[self.finished :]
        asked = [Task(record.source, record.output, record.output) for record in new]
        options["on_plan"](Plan(asked, self.records[: self.finished], []))
        for record in new:
            options["on_record"](record)
        if self.error is not None:
            raise self.error
        return self.records


def fake(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **keywords: Any) -> FakeBatch:
    found = FakeBatch(*arguments, **keywords)
    monkeypatch.setattr(planning, "encode_many", found)
    return found


def test_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [done("a"), done("b", psnr=None, exact=True, ms_ssim=0.9), done("c", psnr=20.0, bytes=500)]
    fake(monkeypatch, records, finished=1)
    result = run("batch", "photos", "--out", "out")
    assert result.exit_code == 0
    first, second, third, *table = [line.rstrip() for line in result.output.splitlines()]
    assert first == "1 of 3 were finished before"
    assert second == "2/3  b.inr  1,500 bytes  20.000 bpp  exact  2.0 s"
    assert third == "3/3  c.inr  500 bytes  20.000 bpp  20.00 dB  2.0 s"
    assert table[:5] == [
        "images   3 of 3",
        "bytes    3,500 of 27,000 (13.0%), 15.556 bpp",
        "PSNR     25.62 dB mean, 20.00 dB to 31.23 dB",
        "MS-SSIM  0.9000 mean, 0.9000 to 0.9000",
        "encode   2.0 s mean, 2.0 s to 2.0 s",
    ]
    assert table[5].startswith("time ")


def test_failures_are_named_and_end_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [done("a"), failed(Task("photos/[b].png", "", "b.inr"), "OSError: no [such] thing")])
    for quiet in ([], ["--quiet"]):
        result = run("batch", "photos", "--out", "out", *quiet)
        assert result.exit_code == 1
        assert "pillow-inr: photos/[b].png: OSError: no [such] thing" in result.output
        assert ("1 of 2, 1 failed" in result.output) != bool(quiet)


def test_interrupts_end_with_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [done("a")], error=KeyboardInterrupt())
    result = run("batch", "photos", "--out", "out", "--quiet")
    assert result.exit_code == 130
    assert "interrupted: 1 of 1 finished, nothing half-written" in result.output


@pytest.mark.parametrize("error", [BackendError("no TensorFlow"), ValueError("line 3"), OSError(13, "denied", "out")])
def test_errors_of_the_whole_batch_are_told(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [], error=error)
    result = run("batch", "photos", "--out", "out")
    assert result.exit_code == 1
    assert result.output.startswith("pillow-inr: ")
    assert "Traceback" not in result.output


def test_options_reach_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fake(monkeypatch, [])
    run("batch", "a", "b", "-o", "out", "-q", 40, "--strip", "-j", 3, "--threads", 2, "--scheduler", "tcp://x:1", "-f")
    del found.asked["on_plan"], found.asked["on_record"], found.asked["say"]
    assert found.asked == {
        "paths": ("a", "b"),
        "folder": "out",
        "processes": 3,
        "threads": 2,
        "scheduler": "tcp://x:1",
        "manifest_path": None,
        "force": True,
        "strip": True,
        "quality": 40,
    }


@pytest.mark.parametrize("bad", [["--quality", "0"], ["--processes", "0"], ["--model", "pyramid", "--width", "8"]])
def test_bad_options_end_with_code_2(bad: list[str]) -> None:
    assert run("batch", "a", "--out", "out", *bad).exit_code == 2
    assert run("batch", "a").exit_code == 2


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch, no_fit: None) -> None:  # noqa: F811
    """Batches without processes and fits; the threads of this process stay as they are."""
    monkeypatch.setattr(local, "run", lambda tasks, processes: map(worker.work, tasks))
    for limit in ("limit_threads", "_limit_tensorflow"):
        monkeypatch.setattr(worker, limit, lambda threads: None)


@pytest.mark.usefixtures("in_this_process")
def test_the_last_line_counts_every_file(tmp_path: Path) -> None:
    photos = photographs(tmp_path / "photos")
    (photos / "empty.jpg").touch()
    (photos / "a.HEIC").touch()
    np.save(photos / "array.npy", np.zeros((4, 5), np.uint8))
    Image.new("L", (4, 4)).save(photos / "two.gif", save_all=True, append_images=[Image.new("L", (4, 4), 9)])
    result = run("batch", photos, photos / "b.png", "--out", tmp_path / "out", "-j", 1)
    assert result.exit_code == 1
    skipped = "2 hidden files, 1 not an image (.txt), 1 .inr file"
    assert result.output.splitlines()[-1] == f"5 written, 2 failed, 4 skipped: {skipped}"
    assert all(f"{photos / name}: " in result.output for name in ("empty.jpg", "a.HEIC"))
    assert "the first of its 2 images is stored" in result.output
    result = run("batch", photos, "--out", tmp_path / "out", "-j", 1)
    assert result.output.splitlines()[-1] == f"0 written, 2 failed, 9 skipped: 5 finished before, {skipped}"
    (photos / "sub").mkdir()
    (photos / "sub" / "notes.txt").touch()
    result = run("batch", photos / "sub", "--out", tmp_path / "sub", "-j", 1)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "0 written, 0 failed, 1 skipped: 1 not an image (.txt)"


@pytest.mark.usefixtures("in_this_process")
def test_a_folder_twice(tmp_path: Path) -> None:
    photos, out = photographs(tmp_path / "photos"), tmp_path / "out"
    first = run("batch", photos, "--out", out, "-j", 1, *QUICK)
    assert first.exit_code == 0, first.output
    lines = (out / "manifest.jsonl").read_text().splitlines()
    assert {json.loads(line)["output"] for line in lines} == {"b.inr", "grey.inr", "trip/a.inr"}
    again = run("batch", photos, "--out", out, "-j", 1, *QUICK)
    assert again.exit_code == 0
    assert "3 of 3 were finished before" in again.output
    assert len(manifest.read(out / "manifest.jsonl")) == 3
    assert (out / "manifest.jsonl").read_text().splitlines() == lines
