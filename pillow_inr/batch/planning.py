"""Many images to .inr files: which are to be done, in what order, and the manifest that lets a batch go on later."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from .._version import __version__
from ..format.signature import EXTENSION
from ..inputs import sources
from ..options import EncodeOptions
from ..storage import remote
from . import manifest, worker
from .manifest import Record
from .worker import Task

Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """An image that was found."""

    path: str
    """Path or URL."""
    below: PurePosixPath
    """Where it lies below the folder that was asked for."""
    size: int = 0
    """Bytes of the file, as far as that is known for nothing."""
    problem: str | None = None
    """Why there is nothing to work on."""


@dataclass(frozen=True)
class Plan:
    """What a batch is to do."""

    tasks: Sequence[Task]
    """The largest files first, so that no process is left alone with one at the end."""
    finished: Sequence[Record]
    """Records of what earlier runs have done."""
    failed: Sequence[Record]
    """Records of what cannot be begun."""


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
    """Encode many images, several at a time, and write down what became of each.

    What an earlier run has finished, with the same options and of a source with the same bytes, is left alone; what it
    had begun is begun again. An image that cannot be encoded does not end the batch.

    Call it below `if __name__ == "__main__":`, since the processes import the program they belong to.

    Args:
        paths: files, folders (all images in and below them) and patterns such as "photos/**/*.jpg", or URLs of these.
        folder: where the .inr files go, in folders as below those of `paths`; a path or a URL.
        processes: that encode at a time; by default as many as there are cores and memory for, without a scheduler.
        threads: of each process. The same number gives the same files, to the byte.
        scheduler: address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers encode.
        manifest_path: where the manifest is; by default manifest.jsonl in the folder.
        force: encode what is finished, too, and replace files that are not of this batch.
        strip: leave out metadata, except a colour profile, and turn images upright.
        on_plan: is given the plan before the first image.
        on_record: is given each record as it comes.
        say: is given messages on the cluster.
        **options: those of `pillow_inr.encode`, but for `progress`.
    Returns:
        The records of all images that were asked for, finished ones as well, in the order in which they were found.
    Raises:
        ValueError: an option is outside its range; the manifest is damaged.
        OSError: the manifest or the folder cannot be written to.
        BackendError: no fit is possible here, or on the workers.
    """
    given = _checked(options)
    for name, value in (("processes", processes), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    target = os.fspath(folder)
    book_path = _manifest_path(target, manifest_path)
    continued = book_path.exists()
    with manifest.Manifest(book_path) as book:
        known = {record.output: record for record in manifest.read(book_path)}
        tasks = _tasks(find(paths), target, given, threads, strip)
        plan = _plan(tasks, _Folder(target, known, continued, force))
        if on_plan is not None:
            on_plan(plan)
        ended = {record.output: record for record in plan.finished}
        # Closed whatever happens, and at once: its processes end with it.
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
    """The options as they go to the workers and into the manifest."""
    given = {name: value for name, value in options.items() if value is not None}
    if "progress" in given:
        raise ValueError("a batch has no progress of single fits: leave it out")
    EncodeOptions(**given)
    if "init" in given:
        if not isinstance(given["init"], str | os.PathLike):
            raise ValueError("init must be the path of a file, which the workers read")
        given["init"] = os.fspath(given["init"])
    return given


def _manifest_path(folder: str, given: str | os.PathLike[str] | None) -> Path:
    if given is not None:
        return Path(given)
    if remote.is_url(folder):
        raise ValueError("files that go to a URL need a manifest of another place: name it")
    return Path(folder) / manifest.NAME


def find(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The images that paths, folders, patterns, URLs and lists name; each once.

    Args:
        paths: "@photos.txt" stands for the lines of a file, "@manifest.jsonl" for the sources of a manifest.
    Raises:
        OSError: a list or a URL's folder cannot be read.
        ImportError: URLs need fsspec.
        ValueError: a list's text cannot be read.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    found: dict[str, Source] = {}
    for text in chain.from_iterable(_listed(os.fspath(path)) for path in paths):
        for source in _expand(text):
            found.setdefault(source.path, source)
    return list(found.values())


def _listed(text: str) -> list[str]:
    if not text.startswith("@"):
        return [text]
    path = Path(text[1:])
    if path.suffix.lower() == ".jsonl":
        return [record.source for record in manifest.read(path)]
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _expand(text: str) -> Iterator[Source]:
    if remote.is_url(text):
        for url, below in remote.expand(text):
            if url == text or _is_named_image(below):
                yield Source(url, PurePosixPath(below))
        return
    for item in sources.find([text], sources.opens_as_image, "image"):
        size = item.source.stat().st_size if item.problem is None and item.source.is_file() else 0
        yield Source(str(item.source), PurePosixPath(item.below), size, item.problem)


def _is_named_image(name: str) -> bool:
    """Whether a file that is far away is an image, by its name."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix != EXTENSION and (suffix in Image.registered_extensions() or suffix in sources.ARRAY_SUFFIXES)


def _tasks(
    found: Sequence[Source], folder: str, options: Mapping[str, Any], threads: int, strip: bool
) -> list[tuple[Source, Task]]:
    """A task for each source, each with an output of its own."""
    taken: set[str] = set()
    tasks = []
    for source in found:
        below = next(name for name in _names(source.below) if name not in taken)
        taken.add(below)
        output = remote.join(folder, below) if remote.is_url(folder) else str(Path(folder, below))
        tasks.append((source, Task(source.path, output, below, options, threads, strip)))
    return tasks


def _names(below: PurePosixPath) -> Iterator[str]:
    """Names for an output, until one is free: photo.inr, photo.jpg.inr, photo.jpg.2.inr, …"""
    yield str(below.with_suffix(EXTENSION))
    yield f"{below}{EXTENSION}"
    yield from (f"{below}.{number}{EXTENSION}" for number in count(2))


@dataclass(frozen=True)
class _Folder:
    """The folder of the outputs: what earlier runs have left there."""

    path: str
    known: Mapping[str, Record]
    """Records of earlier runs, by output."""
    continued: bool
    """Whether there was an earlier run: one that was killed may have left a file without a record."""
    force: bool

    def sizes(self, tasks: Iterable[Task]) -> dict[str, int]:
        """The bytes of the outputs that are there."""
        if remote.is_url(self.path):
            return remote.sizes(self.path)
        return {task.below: Path(task.output).stat().st_size for task in tasks if Path(task.output).is_file()}

    def has_finished(self, task: Task, size: int | None) -> bool:
        """Whether an earlier run did the same with what was the source then, and its file is there."""
        record = self.known.get(task.below)
        if self.force or record is None or not record.done or size != record.bytes:
            return False
        return record.version == __version__ and record.options == worker.recorded_options(task)

    def is_unchanged(self, task: Task) -> bool:
        """Whether the source still has the bytes that an earlier run saw."""
        return self.known[task.below].sha256 == _sha256(task.source)

    def is_foreign(self, task: Task, size: int | None) -> bool:
        """Whether a file has the name that no batch wrote."""
        if self.force or size is None:
            return False
        record = self.known.get(task.below)
        return not self.continued if record is None else record.error == _FOREIGN


_FOREIGN = "FileExistsError: there is a file of this name, which this batch did not write: --force overwrites it"


def _sha256(source: str) -> str | None:
    """Of a file's bytes; None if it cannot be read, which is said when its turn comes."""
    try:
        return hashlib.sha256(worker.read(source)).hexdigest()
    except OSError:
        return None


def _plan(tasks: Sequence[tuple[Source, Task]], folder: _Folder) -> Plan:
    sizes = folder.sizes(task for _, task in tasks)
    earlier = [task for _, task in tasks if folder.has_finished(task, sizes.get(task.below))]
    with ThreadPoolExecutor() as pool:  # disks and networks answer several readers sooner
        try:
            same = list(pool.map(folder.is_unchanged, earlier))
        except BaseException:  # Ctrl-C
            pool.shutdown(cancel_futures=True)
            raise
    left_alone = {task.below for task, unchanged in zip(earlier, same, strict=True) if unchanged}
    to_do: list[tuple[int, Task]] = []
    finished, failed = [], []
    for source, task in tasks:
        size = sizes.get(task.below)
        if source.problem is not None:
            failed.append(worker.failed(task, f"OSError: {source.problem}"))
        elif task.below in left_alone:
            finished.append(folder.known[task.below])
        elif folder.is_foreign(task, size):
            failed.append(worker.failed(task, _FOREIGN))
        else:
            to_do.append((source.size, task))
    to_do.sort(key=lambda entry: -entry[0])
    return Plan([task for _, task in to_do], finished, failed)


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
