"""Batches: which images, where to, what is left alone, what becomes of failures and of processes that die."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr.batch import local, manifest, planning, worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task
from pillow_inr.imaging.ms_ssim import ms_ssim
from pillow_inr.imaging.samples import Scale
from pillow_inr.runtime import threads
from tests.support.batch_jobs import job
from tests.support.checks import gradient

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="processes are killed by signals")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images, some below others, two of which differ in their endings alone, and one that is damaged."""
    found = tmp_path / "photos"
    (found / "trip").mkdir(parents=True)
    for number, name in enumerate(["a.png", "a.jpg", "trip/b.png", "trip/c.webp"]):
        Image.fromarray(gradient(12 + number, 9)).save(found / name)
    (found / "trip" / "damaged.png").write_bytes((found / "a.png").read_bytes()[:60])
    (found / "notes.txt").write_text("no image")
    return found


class FakeRun:
    """In place of processes: does nothing but say so; counts."""

    def __init__(self, fail: str = "", stop_after: int = 1000) -> None:
        self.fail = fail
        self.stop_after = stop_after
        self.done: list[str] = []

    def __call__(self, tasks: list[Task], processes: int) -> Iterator[Record]:
        for task in tasks:
            if len(self.done) == self.stop_after:
                raise KeyboardInterrupt
            self.done.append(task.below)
            if task.below == self.fail:
                yield worker.failed(task, "OSError: no")
                continue
            source = Path(task.source).read_bytes()
            Path(task.output).parent.mkdir(parents=True, exist_ok=True)
            Path(task.output).write_bytes(source[:40])
            record = worker.failed(task, "")
            figures: dict[str, Any] = {"width": 1, "height": 1, "bytes": 40, "bpp": 320.0, "seconds": 1.0}
            digest = planning._sha256(task.source)
            yield Record(**{**vars(record), **figures, "sha256": digest, "status": "done", "error": None})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    run = FakeRun()
    monkeypatch.setattr(local, "run", lambda tasks, processes: run(tasks, processes))
    return run


OUTPUTS = ["a.inr", "a.png.inr", "trip/b.inr", "trip/c.inr", "trip/damaged.inr"]


def test_folders_are_mirrored_and_names_kept_apart(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    out = tmp_path / "out"
    records = planning.encode_many(folder, out)
    assert [record.output for record in records] == OUTPUTS
    assert [Path(record.source).name for record in records[:2]] == ["a.jpg", "a.png"]
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.inr")} == set(OUTPUTS)
    sizes = [Path(record.source).stat().st_size for record in sorted(records, key=lambda r: fake.done.index(r.output))]
    assert sizes == sorted(sizes, reverse=True)
    assert manifest.read(out / "manifest.jsonl") == sorted(records, key=lambda r: fake.done.index(r.output))


def test_sources_of_all_kinds_are_each_taken_once(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{folder / 'a.png'}\n\n{folder / 'trip'}\n")
    names = [str(source.below) for source in planning.find([folder / "trip", f"@{listed}", str(folder / "*.jpg")])]
    assert names == ["b.png", "c.webp", "damaged.png", "a.png", "a.jpg"]
    assert [source.problem for source in planning.find(str(folder / "*.tif"))] == ["no image matches this pattern"]
    urls = planning.find([f"file://{folder}", f"file://{folder}/**/*.webp"])
    assert [str(source.below) for source in urls] == ["a.jpg", "a.png", "trip/b.png", "trip/c.webp", "trip/damaged.png"]


def test_a_manifest_is_a_list_of_sources(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    planning.encode_many(folder, tmp_path / "out")
    again = planning.find(f"@{tmp_path / 'out' / 'manifest.jsonl'}")
    assert {source.path for source in again} == {source.path for source in planning.find(folder)}


def test_what_is_finished_is_left_alone(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    first = planning.encode_many(folder, tmp_path / "out", quality=30)
    fake.done.clear()
    assert planning.encode_many(folder, tmp_path / "out", quality=30) == first
    assert fake.done == []


def test_what_has_changed_is_done_again(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    out = tmp_path / "out"
    planning.encode_many(folder, out, quality=30)
    fake.done.clear()
    (out / "trip" / "b.inr").unlink()
    (out / "trip" / "c.inr").write_bytes(b"cut off")
    Image.fromarray(gradient(7, 7)).save(folder / "a.jpg")
    planning.encode_many(folder, out, quality=30)
    assert sorted(fake.done) == ["a.inr", "trip/b.inr", "trip/c.inr"]
    fake.done.clear()
    planning.encode_many(folder, out, quality=31)
    assert sorted(fake.done) == OUTPUTS
    fake.done.clear()
    planning.encode_many(folder, out, quality=31, strip=True)
    assert sorted(fake.done) == OUTPUTS
    fake.done.clear()
    planning.encode_many(folder, out, quality=31, strip=True, force=True)
    assert sorted(fake.done) == OUTPUTS


def test_an_interrupted_batch_goes_on(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    out = tmp_path / "out"
    fake.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        planning.encode_many(folder, out)
    # Killed between a file and its record, which nobody could tell from one in flight.
    left = next(name for name in OUTPUTS if name not in fake.done)
    (out / left).parent.mkdir(exist_ok=True)
    (out / left).write_bytes(b"in flight")
    fake.stop_after = 1000
    records = planning.encode_many(folder, out)
    assert sorted(fake.done) == OUTPUTS
    assert all(record.done for record in records)


def test_files_of_others_are_not_replaced(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.inr").write_bytes(b"mine")
    for _ in range(2):  # also when there is a manifest by now
        records = planning.encode_many(folder, out)
        assert [record.output for record in records if not record.done] == ["a.inr"]
        assert "--force" in str(records[0].error)
        assert (out / "a.inr").read_bytes() == b"mine"
    assert all(record.done for record in planning.encode_many(folder, out, force=True))


def test_failures_do_not_end_a_batch_and_are_tried_again(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    fake.fail = "trip/b.inr"
    seen: list[Record] = []
    records = planning.encode_many(folder, tmp_path / "out", on_record=seen.append)
    assert [record.output for record in records if not record.done] == ["trip/b.inr"]
    assert sorted(record.output for record in seen) == OUTPUTS
    fake.fail, fake.done = "", []
    assert all(record.done for record in planning.encode_many(folder, tmp_path / "out"))
    assert fake.done == ["trip/b.inr"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"quality": 0}, "quality"),
        ({"progress": True}, "progress"),
        ({"processes": 0}, "processes must be 1 or more"),
        ({"threads": 0}, "threads must be 1 or more"),
    ],
)
def test_bad_options_are_refused_before_anything_is_made(
    options: dict[str, Any], text: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=text):
        planning.encode_many(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_url_needs_a_manifest_elsewhere(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    with pytest.raises(ValueError, match="manifest"):
        planning.encode_many(folder, f"file://{tmp_path}/out")


def test_processes_fit_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 16)
    monkeypatch.setattr(local, "_free_memory", lambda: 5 * local.MEMORY_PER_PROCESS)
    assert [local.usual_processes(threads) for threads in (1, 4, 16, 32)] == [5, 4, 1, 1]
    monkeypatch.setattr(local, "_free_memory", lambda: 0)
    assert local.usual_processes(1) == 1


def test_a_container_may_have_less_memory_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = local._free_memory()
    (tmp_path / "max").write_text("5000000\n")
    (tmp_path / "current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2000000\ninactive_file 900000\nslab\n")
    monkeypatch.setattr(local, "_CONTAINERS", [(tmp_path, "max", "current", "inactive_file")])
    assert local._free_memory() == 2_900_000
    (tmp_path / "max").write_text("max\n")
    assert local._free_memory() > usual // 2 > 2_900_000


def tasks(folder: Path, *texts: str) -> Iterator[Task]:
    for number, text in enumerate(texts):
        (folder / str(number)).write_text(text)
        yield Task(str(folder / str(number)), str(folder / f"{number}.inr"), f"{number}.inr")


@POSIX
def test_a_process_that_dies_takes_no_other_image_with_it(tmp_path: Path) -> None:
    given = tasks(tmp_path, "one", "die once", "two", "die", "three")
    records = {record.output: record for record in local.run(given, 2, job)}
    assert {name: record.attempts for name, record in records.items()} == {
        "0.inr": 1,
        "1.inr": 2,
        "2.inr": 1,
        "3.inr": 3,
        "4.inr": 1,
    }
    assert [name for name, record in records.items() if not record.done] == ["3.inr"]
    assert "3 processes died" in str(records["3.inr"].error)


def test_a_defect_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a defect"):
        list(local.run(tasks(tmp_path, "odd"), 1, job))


@POSIX
def test_an_end_ends_the_processes_whatever_they_do(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "0.inr.mark").exists():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    threading.Thread(target=interrupt).start()
    started = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(local.run(tasks(tmp_path, "slow"), 1, job))
    finally:
        signal.signal(signal.SIGINT, usual)
    assert time.perf_counter() - started < 30


PROGRAM = """
import signal, sys, threading
from pathlib import Path
from pillow_inr.batch import local as batch_local
from tests.support.batch_jobs import job
from tests.integration.test_batch import tasks

def main():
    list(batch_local.run(tasks(Path(sys.argv[1]), "slow"), 1, job))
"""


def program(folder: Path, end: str) -> list[str | Path]:
    """A command that runs a batch of one slow task."""
    path = folder / "program.py"
    path.write_text(PROGRAM + end)
    return [sys.executable, path, folder]


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


@POSIX
def test_ctrl_c_ends_processes_that_are_only_starting(tmp_path: Path) -> None:
    interrupt = (
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()\n"
        "    main()\n"
    )
    done = subprocess.run(
        program(tmp_path, interrupt), env=ENVIRONMENT, capture_output=True, text=True, timeout=40, check=False
    )
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert done.stderr.count("Traceback") == 1


def test_a_program_without_a_guard_is_told_so(tmp_path: Path) -> None:
    done = subprocess.run(
        program(tmp_path, "main()\n"), env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "no process can be started that encodes" in done.stderr.splitlines()[-1]


@POSIX
def test_a_process_that_dies_idle_is_replaced(tmp_path: Path) -> None:
    given = tasks(tmp_path, "one", "two")
    records = local.run(given, 1, job)
    first = next(records)
    number = int(str(first.worker).rpartition(":")[2])
    os.kill(number, signal.SIGKILL)
    # That it has died, its executor sees a moment later; until then it takes the next task, and an attempt is lost.
    executor = records.gi_frame.f_locals["slots"][0]._executor
    while _is_alive(number) or not executor._broken:
        time.sleep(0.01)
    assert [(record.done, record.attempts) for record in records] == [(True, 1)]


@POSIX
def test_processes_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    guarded = "if __name__ == '__main__':\n    main()\n"
    with subprocess.Popen(program(tmp_path, guarded), env=ENVIRONMENT) as parent:
        while not (tmp_path / "0.inr.mark").exists():
            time.sleep(0.05)
            assert parent.poll() is None
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        if not children.exists():
            parent.kill()
            pytest.skip("needs Linux's list of a process's children")
        # The process, and multiprocessing's tracker of resources, which ends by itself.
        numbers = [int(number) for number in children.read_text().split()]
        parent.kill()
    deadline = time.monotonic() + 20
    while any(_is_alive(number) for number in numbers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_alive(number: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{number}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.keras
def test_a_real_batch(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"model": "siren", "width": 8, "depth": 2, "steps": 20}
    records = planning.encode_many(folder, out, processes=2, **options)
    assert [record.done for record in records] == [True, True, True, True, False]
    assert str(records[-1].error).startswith("OSError: ")
    for record in records[:-1]:
        data = (out / record.output).read_bytes()
        assert (record.bytes, record.options) == (len(data), options)
        with Image.open(out / record.output) as decoded, Image.open(record.source) as original:
            assert decoded.size == original.size == (record.width, record.height)
            assert record.psnr == pytest.approx(decoded.info["psnr"], abs=0.02)
        assert record.bpp == pytest.approx(8 * len(data) / (record.width * record.height))
    for record in records[:2]:
        with Image.open(record.source) as image:
            image.load()
        # One thread gives other sums than several.
        assert abs(len(pillow_inr.encode(image, **options)) - (record.bytes or 0)) <= 0.02 * (record.bytes or 0) + 8


@pytest.mark.keras
def test_ms_ssim_and_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the work limits is this process's own here.
    monkeypatch.setattr(threads, "_most", None)
    for name in worker.THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    image = Image.fromarray(gradient(180, 176))
    image.convert("L").save(tmp_path / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif, comment="x")
    for strip in (False, True):
        output = tmp_path / f"{strip}.inr"
        options = {"model": "siren", "width": 8, "depth": 2, "steps": 20}
        record = worker.work(Task(str(tmp_path / "a.png"), str(output), output.name, options, 1, strip))
        assert record.error is None
        assert record.ms_ssim is not None
        assert 0 < record.ms_ssim <= 1
        with Image.open(output) as decoded:
            assert ("exif" in decoded.info) != strip
            assert decoded.size == ((176, 180) if strip else (180, 176))
    assert threads.cores() == 1
    grey = worker.work(Task(str(tmp_path / "grey.png"), str(tmp_path / "grey.inr"), "grey.inr", options))
    assert grey.ms_ssim is not None and grey.channels == 1


@pytest.mark.keras
def test_ms_ssim_of_large_images_is_a_mean_over_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    original = gradient(176, 400)
    noise = np.random.default_rng(0).normal(0, 20, original.shape)
    decoded = np.clip(original + noise, 0, 255).astype(np.uint8)
    scale = Scale("uint8", 3, ((0.0, 255.0),))
    assert ms_ssim(original, original, scale) == 1
    whole = ms_ssim(original, decoded, scale)
    monkeypatch.setattr(worker, "MS_SSIM_SAMPLES", 1000)
    bands = ms_ssim(original, decoded, scale)
    assert whole != bands == pytest.approx(whole, abs=0.02)
    halves = [ms_ssim(original[rows], decoded[rows], scale) for rows in (slice(200), slice(200, 400))]
    assert bands == pytest.approx(sum(halves) / 2, abs=1e-5)
