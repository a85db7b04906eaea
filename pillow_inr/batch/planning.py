"""Encodes many images to .inr files: what is left to do, in which order, and the manifest that lets a batch go on."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from .._version import __version__
from ..format.signature import EXTENSION
from ..inputs import sources
from ..inputs.finding import Skipped, output_names
from ..options import EncodeOptions
from ..storage import atomic, remote
from . import manifest, worker
from .finding import Source, find
from .manifest import Record
from .worker import Task

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """The work of a batch."""

    tasks: Sequence[Task]
    """Images to encode, largest files first: the last images to finish are then short ones."""
    finished: Sequence[Record]
    """Records of images that earlier runs have encoded."""
    failed: Sequence[Record]
    """Records of images that cannot be encoded: the source cannot be read, or the output cannot be written."""
    skipped: Skipped = field(default_factory=Skipped)
    """Files in the folders and patterns that are not images."""
    empty: int = 0
    """How many records in `failed` stand for a folder or a pattern that leads to no image."""


def encode_many(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    processes: int | None = None,
    threads: int = 1,
    scheduler: str | None = None,
    manifest_path: str | os.PathLike[str] | None = None,
    force: bool = False,
    strip: bool = False,
    on_plan: Callable[[Plan], object] | None = None,
    on_record: Callable[[Record], object] | None = None,
    say: Say | None = None,
    **options: Any,
) -> list[Record]:
    """Encode many images, several at a time, and record the outcome of each in a manifest.

    Images that an earlier run finished, with the same options and from the same source bytes, are skipped; an image
    that it had only begun is encoded from the start. An image that fails does not end the batch.

    Call it below `if __name__ == "__main__":`, since the processes import the calling program.

    Args:
        paths: files, folders (all images in and below them) and patterns such as "photos/**/*.jpg", or URLs of these;
            "@photos.txt" stands for the lines of that file, "@manifest.jsonl" for the sources in that manifest.
        folder: output folder, a path or a URL; files go into subfolders as in `paths`.
        processes: number of processes, each with one image; by default what cores and memory allow. Not used with a
            scheduler.
        threads: threads per process, >= 1. The same number gives the same files, to the byte.
        scheduler: address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers encode the images.
        manifest_path: path of the manifest; by default manifest.jsonl in the output folder.
        force: encode finished images again, and overwrite files that this batch did not write.
        strip: leave out metadata, except a colour profile, and turn images upright.
        on_plan: called with the plan before the first image.
        on_record: called with each record as it comes.
        say: called with messages about the cluster.
        **options: options of `pillow_inr.encode`, except `progress`.
    Returns:
        The records of all images, those of earlier runs included, in the order in which the images were found.
    Raises:
        ValueError: an option is outside its range, or the manifest is damaged.
        OSError: the manifest or the output folder cannot be written. A single output that cannot be written is a
            failed record instead.
        BackendError: no image can be fitted here, or on the workers.
    """
    given = _checked(options)
    for name, value in (("processes", processes), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    target = os.fspath(folder)
    book_path = _manifest_path(target, manifest_path)
    continued = book_path.exists()
    with manifest.Manifest(book_path) as book:
        known = {record.output: record for record in book.earlier}
        found = find(paths)
        tasks = _tasks(found.sources, target, given, threads, strip)
        plan = replace(_plan(tasks, _Folder(target, known, continued, force)), skipped=found.skipped)
        if on_plan is not None:
            on_plan(plan)
        ended = {record.output: record for record in plan.finished}
        # Closing it at once, whatever happens, ends its processes.
        with contextlib.closing(_run(plan.tasks, processes, threads, scheduler, say or _silent)) as run:
            for record in chain(plan.failed, run):
                book.append(record)
                ended[record.output] = record
                if on_record is not None:
                    on_record(record)
    return [ended[task.below] for _, task in tasks]


def _silent(_: str) -> None:
    """Say nothing."""


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that go to the workers and into the manifest."""
    given = {name: value for name, value in options.items() if value is not None}
    if "progress" in given:
        raise ValueError("a batch reports no progress of single images: leave the option out")
    EncodeOptions(**given)
    if "init" in given:
        if not isinstance(given["init"], str | os.PathLike):
            raise ValueError("init must be a path: the workers read the file")
        given["init"] = os.fspath(given["init"])
    return given


def _manifest_path(folder: str, given: str | os.PathLike[str] | None) -> Path:
    if given is not None:
        return Path(given)
    if remote.is_url(folder):
        raise ValueError("outputs at a URL need a manifest on this machine: give its path")
    return Path(folder) / manifest.NAME


def _tasks(
    found: Sequence[Source], folder: str, options: Mapping[str, Any], threads: int, strip: bool
) -> list[tuple[Source, Task]]:
    """Give each source a task with an output of its own."""
    taken: set[str] = set()
    tasks = []
    for source in found:
        names = map(str, output_names(source.below, EXTENSION))
        below = next(name for name in names if name not in taken)
        taken.add(below)
        output = remote.join(folder, below) if remote.is_url(folder) else str(Path(folder, below))
        tasks.append((source, Task(source.path, output, below, options, threads, strip)))
    return tasks


@dataclass(frozen=True)
class _Folder:
    """The output folder, and what earlier runs have left there."""

    path: str
    known: Mapping[str, Record]
    """Records of earlier runs, by output."""
    continued: bool
    """Whether there was an earlier run: if it was killed, there may be a file without a record."""
    force: bool

    def sizes(self, tasks: Iterable[Task]) -> dict[str, int]:
        """The sizes in bytes of the outputs that exist."""
        if remote.is_url(self.path):
            return remote.sizes(self.path)
        found = {}
        for task in tasks:
            with contextlib.suppress(OSError):  # reported as an output that cannot be written
                if Path(task.output).is_file():
                    found[task.below] = Path(task.output).stat().st_size
        return found

    def has_finished(self, task: Task, size: int | None) -> bool:
        """Whether an earlier run did this task, from whatever bytes the source had, and its file is there."""
        record = self.known.get(task.below)
        if self.force or record is None or not record.done or size != record.bytes:
            return False
        return record.version == __version__ and record.options == worker.recorded_options(task)

    def is_unchanged(self, task: Task) -> bool:
        """Whether the source still has the bytes that an earlier run read."""
        return self.known[task.below].sha256 == _sha256(task.source)

    def is_foreign(self, task: Task, size: int | None) -> bool:
        """Whether there is a file of this name that no batch wrote."""
        if self.force or size is None:
            return False
        record = self.known.get(task.below)
        return not self.continued if record is None else record.error == _FOREIGN

    def make(self) -> None:
        """Make the folder, unless it is a URL.

        Raises:
            OSError: no file can be written in it.
        """
        if not remote.is_url(self.path):
            Path(self.path).mkdir(parents=True, exist_ok=True)
            atomic.check_writable(Path(self.path, manifest.NAME))


# Compared with the records of earlier runs, so do not change it.
_FOREIGN = "FileExistsError: there is a file of this name, which this batch did not write: --force overwrites it"


def _sha256(source: str) -> str | None:
    """The checksum of a file; None if it cannot be read, which the worker reports."""
    try:
        return hashlib.sha256(worker.read(source)).hexdigest()
    except OSError:
        return None


def _plan(tasks: Sequence[tuple[Source, Task]], folder: _Folder) -> Plan:
    sizes = folder.sizes(task for _, task in tasks)
    earlier = [task for _, task in tasks if folder.has_finished(task, sizes.get(task.below))]
    skipped = {task.below for task in _unchanged(earlier, folder)}
    if any(source.problem is None and task.below not in skipped for source, task in tasks):
        folder.make()
    to_do: list[tuple[int, Task]] = []
    finished, failed = [], []
    for source, task in tasks:
        if source.problem is None and task.below in skipped:
            finished.append(folder.known[task.below])
        elif (problem := _problem(source, task, folder, sizes.get(task.below))) is not None:
            failed.append(worker.failed(task, problem))
        else:
            to_do.append((source.size, task))
    to_do.sort(key=lambda entry: -entry[0])
    empty = sum(not source.is_file for source, _ in tasks)
    return Plan([task for _, task in to_do], finished, failed, empty=empty)


def _unchanged(tasks: Sequence[Task], folder: _Folder) -> list[Task]:
    """The tasks whose sources still have the bytes that an earlier run read."""
    with ThreadPoolExecutor() as pool:  # disks and networks serve several readers at a time
        try:
            unchanged = list(pool.map(folder.is_unchanged, tasks))
        except BaseException:  # Ctrl-C
            pool.shutdown(cancel_futures=True)
            raise
    return [task for task, same in zip(tasks, unchanged, strict=True) if same]


def _problem(source: Source, task: Task, folder: _Folder, size: int | None) -> str | None:
    """Why an image need not be fitted: its source cannot be read, or its output cannot be written.

    Makes the folder of the output: only then is it known that it can be made.
    """
    if source.problem is not None:
        return f"OSError: {source.problem}"
    if folder.is_foreign(task, size):
        return _FOREIGN
    if remote.is_url(task.output):
        return None
    output = Path(task.output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        atomic.check_writable(output)
    except OSError as error:
        return f"{type(error).__name__}: cannot write {error.filename or output}: {sources.reason(error)}"
    return None


def _run(
    tasks: Sequence[Task], processes: int | None, threads: int, scheduler: str | None, say: Say
) -> Generator[Record, None, None]:
    if not tasks:
        return
    if scheduler is not None:
        from . import cluster

        yield from cluster.run(tasks, scheduler, say)
        return
    from . import local

    usual = local.usual_processes(threads)
    yield from local.run(tasks, min(len(tasks), processes or usual))
