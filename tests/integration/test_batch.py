"""Batches: which images, where to, what is left alone, what becomes of failures and of processes that die."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pillow_inr
from pillow_inr.batch import local, manifest, planning, worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task
from pillow_inr.runtime import threads
from pillow_inr.storage import atomic
from tests.support.batch_jobs import job, mark
from tests.support.checks import fresh, gradient
from tests.support.waiting import is_alive, wait_until

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

    def before(self) -> None:
        """Is called before the first task."""

    def __call__(self, tasks: list[Task], processes: int) -> Iterator[Record]:
        self.before()
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
    names = [
        str(source.below) for source in planning.find([folder / "trip", f"@{listed}", str(folder / "*.jpg")]).sources
    ]
    assert names == ["b.png", "c.webp", "damaged.png", "a.png", "a.jpg"]
    assert [source.problem for source in planning.find(str(folder / "*.tif")).sources] == [
        "no image matches this pattern"
    ]
    urls = planning.find([f"file://{folder}", f"file://{folder}/**/*.webp"]).sources
    assert [str(source.below) for source in urls] == ["a.jpg", "a.png", "trip/b.png", "trip/c.webp", "trip/damaged.png"]


def test_a_manifest_is_a_list_of_sources(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    planning.encode_many(folder, tmp_path / "out")
    again = planning.find(f"@{tmp_path / 'out' / 'manifest.jsonl'}").sources
    assert {source.path for source in again} == {source.path for source in planning.find(folder).sources}


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


def test_outputs_that_cannot_be_written_fail_before_the_first_fit(
    folder: Path, tmp_path: Path, fake: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (out / "a.inr").mkdir(parents=True)
    (out / "trip").write_text("a file where a folder must be")
    seen: list[Record] = []
    seen_before: list[Record] = []
    monkeypatch.setattr(fake, "before", lambda: seen_before.extend(seen))
    records = planning.encode_many(folder, out, on_record=seen.append)
    assert fake.done == ["a.png.inr"]
    failed = [record for record in records if not record.done]
    assert seen_before == failed
    assert {record.output: str(record.error).partition(":")[0] for record in failed} == {
        "a.inr": "IsADirectoryError",
        "trip/b.inr": "FileExistsError",
        "trip/c.inr": "FileExistsError",
        "trip/damaged.inr": "FileExistsError",
    }
    assert failed[0].error == f"IsADirectoryError: cannot write {out / 'a.inr'}: Is a directory"
    assert (out / "a.inr").is_dir() and (out / "trip").is_file()


def test_a_name_that_no_output_can_have_fails_alone(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    long = "n" * 250
    for ending in ("gif", "png"):  # the second one is to become nnn….png.inr
        Image.fromarray(gradient(5, 5)).save(folder / f"{long}.{ending}")
    records = planning.encode_many([folder / f"{long}.gif", folder / f"{long}.png"], tmp_path / "out")
    assert [record.done for record in records] == [True, False]
    assert "File name too long" in str(records[1].error)


def test_an_older_file_that_must_not_be_replaced_fails_alone(
    folder: Path, tmp_path: Path, fake: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.inr").write_bytes(b"mine")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out / "a.inr" and access(path, mode))
    records = planning.encode_many(folder, out, force=True)
    assert [record.output for record in records if not record.done] == ["a.inr"]
    assert records[0].error == f"PermissionError: cannot write {out / 'a.inr'}: Permission denied"


def test_a_folder_that_cannot_be_written_ends_the_batch(
    folder: Path, tmp_path: Path, fake: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, book = tmp_path / "out", tmp_path / "manifest.jsonl"
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out and access(path, mode))
    with pytest.raises(PermissionError) as error:
        planning.encode_many(folder, out, manifest_path=book)
    assert error.value.filename == str(out)
    assert fake.done == [] and manifest.read(book) == []
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", access)
        first = planning.encode_many(folder, out, manifest_path=book)
    assert planning.encode_many(folder, out, manifest_path=book) == first  # there is nothing to write


def test_outputs_at_urls_are_left_to_the_workers(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "check_writable", lambda path: pytest.fail(f"checked {path}"))
    monkeypatch.setattr(local, "run", lambda tasks, processes: (worker.failed(task, "") for task in tasks))
    records = planning.encode_many(folder, f"file://{tmp_path}/out", manifest_path=tmp_path / "manifest.jsonl")
    assert len(records) == len(OUTPUTS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"quality": 0}, "quality"),
        ({"progress": True}, "progress"),
        ({"init": object()}, "init must be"),
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


def test_an_initialization_is_named_by_its_path(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    for record in planning.encode_many(folder, tmp_path / "out", init=Path("a.npz")):
        assert record.options == {"init": "a.npz"}


def test_an_input_without_images_is_a_failed_record(tmp_path: Path, fake: FakeRun) -> None:
    (tmp_path / "empty").mkdir()
    (record,) = planning.encode_many(tmp_path / "empty", tmp_path / "out")
    assert record.status == "failed"
    assert record.error is not None and record.error.startswith("OSError: ")
    assert not fake.done


def test_three_sources_of_one_name_have_outputs_of_their_own(tmp_path: Path, fake: FakeRun) -> None:
    for number, name in enumerate(("one", "two", "three")):
        (tmp_path / name).mkdir()
        Image.fromarray(gradient(12 + number, 9)).save(tmp_path / name / "a.png")
    records = planning.encode_many([tmp_path / name for name in ("one", "two", "three")], tmp_path / "out")
    assert [record.output for record in records] == ["a.inr", "a.png.inr", "a.png.2.inr"]


def test_a_url_needs_a_manifest_elsewhere(folder: Path, tmp_path: Path, fake: FakeRun) -> None:
    with pytest.raises(ValueError, match="manifest"):
        planning.encode_many(folder, f"file://{tmp_path}/out")


def test_processes_fit_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "cores", lambda: 16)
    monkeypatch.setattr(local, "_free_memory", lambda: 5 * local.MEMORY_PER_PROCESS)
    assert [local.usual_processes(each) for each in (1, 4, 16, 32)] == [5, 4, 1, 1]
    monkeypatch.setattr(local, "_free_memory", lambda: 0)
    assert local.usual_processes(1) == 1


def test_a_container_may_have_less_memory_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert local._free_memory() > 0
    machine = 8_000_000 * 1024
    (tmp_path / "max").write_text("5000000\n")
    (tmp_path / "current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2000000\ninactive_file 900000\nslab\n")
    numbers = local._numbers
    monkeypatch.setattr(
        local,
        "_numbers",
        lambda path: {"MemAvailable:": machine // 1024} if path.name == "meminfo" else numbers(path),
    )
    monkeypatch.setattr(local, "_CONTAINERS", [(tmp_path, "max", "current", "inactive_file")])
    assert local._free_memory() == 2_900_000
    (tmp_path / "max").write_text("max\n")
    assert local._free_memory() == machine


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
def test_ctrl_c_ends_the_processes_whatever_they_do(tmp_path: Path) -> None:
    (task,) = tasks(tmp_path, "hang")

    def interrupt() -> None:
        wait_until(mark(task).exists)
        signal.raise_signal(signal.SIGINT)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(local.run([task], 1, job))
    finally:
        thread.join()
        signal.signal(signal.SIGINT, usual)
    number = int(mark(task).read_text())
    wait_until(lambda: not is_alive(number))


def test_batches_in_threads_do_not_share_what_their_processes_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    name = worker.THREAD_VARIABLES[0]
    monkeypatch.delenv(name, raising=False)
    entered, left = threading.Event(), threading.Event()
    seen: list[str | None] = []

    def other() -> None:
        with local._environment_for_workers(4):
            entered.set()
            left.wait()
            seen.append(os.environ.get(name))

    with ThreadPoolExecutor(1) as pool:
        with local._environment_for_workers(1):
            batch = pool.submit(other)
            # In vain, unless both get in: then the first one to leave takes away what the other one needs.
            entered.wait(0.2)
        left.set()
        batch.result()
    assert seen == ["4"]
    assert name not in os.environ


@POSIX
def test_interrupts_are_blocked_while_a_process_starts_the_first_one_too() -> None:
    code = """
import signal
from pillow_inr.batch import local
from multiprocessing import resource_tracker
with local._environment_for_workers(1):
    resource_tracker.ensure_running()
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    assert fresh(code).split() == ["True", "False"]


PROGRAM = """
import os, signal, sys, threading
from multiprocessing import util
from pathlib import Path
from pillow_inr.batch import local
from tests.support.batch_jobs import job
from tests.integration.test_batch import tasks

def main():
    list(local.run(tasks(Path(sys.argv[1]), "hang"), 1, job))
"""

# Ctrl-C when a process has just been started, and reads from the parent what it is to do. Another thread notices it, as
# the one that draws the command's bar may.
INTERRUPTED = """
spawn = util.spawnv_passfds

def interrupted(path, arguments, handles):
    number = spawn(path, arguments, handles)
    if "spawn_main" in str(arguments):
        os.kill(os.getpid(), signal.SIGINT)
    return number

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    util.spawnv_passfds = interrupted
    main()
"""


def program(folder: Path, end: str) -> list[str | Path]:
    """A command that runs a batch of one task that hangs."""
    path = folder / "program.py"
    path.write_text(PROGRAM + end)
    return [sys.executable, path, folder]


def errors(folder: Path, end: str) -> list[str]:
    """The lines that such a program and its processes print on standard error."""
    done = subprocess.run(program(folder, end), env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.stderr.splitlines()


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


@POSIX
def test_ctrl_c_leaves_no_process_half_started(tmp_path: Path) -> None:
    printed = errors(tmp_path, INTERRUPTED)
    assert printed[-1] == "KeyboardInterrupt"
    assert [line for line in printed if line.startswith("Traceback")] == ["Traceback (most recent call last):"]


def test_a_program_without_a_guard_is_told_so(tmp_path: Path) -> None:
    assert "the processes of the batch die as they start" in errors(tmp_path, "main()\n")[-1]


@POSIX
def test_a_process_that_dies_before_it_gets_a_task_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, dead = local._Slot._start, []

    def start_and_die(slot: local._Slot, threads: int) -> None:
        start(slot, threads)
        if not dead:
            assert slot._started is not None and slot._executor is not None
            dead.append(slot._started.result())
            kill(dead[0], slot._executor)

    monkeypatch.setattr(local._Slot, "_start", start_and_die)
    (record,) = local.run(tasks(tmp_path, "one"), 1, job)
    assert (record.done, record.attempts) == (True, 1)
    assert str(record.worker).rpartition(":")[2] != str(dead[0])


@POSIX
def test_a_process_that_dies_idle_is_replaced(tmp_path: Path) -> None:
    records = local.run(tasks(tmp_path, "one", "two"), 1, job)
    first = next(records)
    slots = records.gi_frame.f_locals["slots"]  # type: ignore[attr-defined]
    kill(int(str(first.worker).rpartition(":")[2]), slots[0]._executor)
    assert [(record.done, record.attempts) for record in records] == [(True, 1)]


def kill(number: int, executor: ProcessPoolExecutor) -> None:
    """Kill an executor's process, and wait until the executor has noticed: until then it would take a task."""
    os.kill(number, signal.SIGKILL)
    wait_until(lambda: executor._broken)  # type: ignore[attr-defined]


@POSIX
def test_processes_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    begun = tmp_path / "0.inr.mark"
    with subprocess.Popen(program(tmp_path, "if __name__ == '__main__':\n    main()\n"), env=ENVIRONMENT) as parent:
        wait_until(lambda: begun.exists() or parent.poll() is not None)
        parent.kill()
    number = int(begun.read_text())
    wait_until(lambda: not is_alive(number))


@pytest.mark.keras
def test_a_real_batch(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"model": "siren", "width": 8, "depth": 2, "steps": 20}
    records = planning.encode_many(folder, out, processes=1, **options)
    assert [record.done for record in records] == [True, True, True, True, False]
    assert str(records[-1].error).startswith("OSError: ")
    for record in records[:-1]:
        data = (out / record.output).read_bytes()
        assert (record.bytes, record.options) == (len(data), options)
        with Image.open(out / record.output) as decoded, Image.open(record.source) as original:
            assert decoded.size == original.size == (record.width, record.height)
            assert record.psnr == pytest.approx(decoded.info["psnr"], abs=0.02)
        assert record.bpp == pytest.approx(8 * len(data) / (record.width * record.height))
    with Image.open(records[0].source) as image:
        size = len(pillow_inr.encode(image, **options))
    # Its process has one thread, which adds up in another order than several.
    assert records[0].bytes == pytest.approx(size, rel=0.02, abs=8)


@pytest.mark.keras
def test_ms_ssim_and_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Here the work limits the threads of this very process.
    monkeypatch.setattr(threads, "_most", None)
    for name in worker.THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient(180, 176)).save(tmp_path / "a.png", exif=exif, comment="x")
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
