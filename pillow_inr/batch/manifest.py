"""The manifest of a batch: a line of JSON for each image that was worked on, as it ended. Standard library only."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

NAME = "manifest.jsonl"
"""The manifest's name in the folder of a batch's files."""

DONE, FAILED = "done", "failed"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What became of an image; figures are None where there are none, as of one that failed."""

    source: str
    """Path or URL, as it was found."""
    output: str
    """Path of the .inr file below the folder of all, with forward slashes."""
    status: str
    """"done" or "failed"."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the encode that were given."""
    version: str
    """Release of this package."""
    sha256: str | None = None
    """Of the source."""
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    dtype: str | None = None
    source_bytes: int | None = None
    bytes: int | None = None
    """Of the .inr file."""
    bpp: float | None = None
    """Bits per pixel."""
    psnr: float | None = None
    """In dB, of the decoded file against the source; None as well where they are equal."""
    exact: bool = False
    """Whether the decoded file equals the source."""
    ms_ssim: float | None = None
    """None where the image is too small for it."""
    seconds: float | None = None
    """That the encode took."""
    output_sha256: str | None = None
    worker: str | None = None
    """Host and number of the process."""
    attempts: int = 1
    """How often it was begun, processes that died among them."""
    error: str | None = None
    warning: str | None = None
    """What the encode warned of."""
    time: str
    """When it ended: ISO 8601, UTC."""

    @property
    def done(self) -> bool:
        """Whether its .inr file was written."""
        return self.status == DONE

    def to_json(self) -> str:
        """The record as a line of the manifest, without its end.

        Raises:
            ValueError: a figure is infinite or NaN, which JSON does not have.
        """
        # In ASCII, which holds file names that are no Unicode, too.
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """The record of a line; fields of later releases are left alone.

        Raises:
            ValueError: it is none.
        """
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError("it is not an object")
        known = {entry.name for entry in fields(cls)}
        try:
            record = cls(**{name: value for name, value in found.items() if name in known})
        except TypeError as error:
            raise ValueError("it lacks fields") from error
        _check(record)
        return record


_NUMBERS = ("width", "height", "channels", "source_bytes", "bytes", "bpp", "psnr", "ms_ssim", "seconds", "attempts")
_TEXTS = ("sha256", "dtype", "output_sha256", "worker", "error", "warning")


def _check(record: Record) -> None:
    """Hold fields to their types: reports are made of manifests that somebody may have edited."""
    for name in ("source", "output", "version", "time"):
        if not isinstance(getattr(record, name), str):
            raise ValueError(f"{name} is no text")
    for name in _TEXTS:
        if not isinstance(getattr(record, name), str | None):
            raise ValueError(f"{name} is no text")
    for name in _NUMBERS:
        value = getattr(record, name)
        if isinstance(value, bool) or not isinstance(value, int | float | None) or not math.isfinite(value or 0):
            raise ValueError(f"{name} is no number")
    if record.status not in (DONE, FAILED) or not isinstance(record.options, dict):
        raise ValueError("status or options are none")
    if record.done and None in (record.width, record.height, record.bytes, record.bpp, record.seconds):
        raise ValueError("it is done, but lacks figures")


def read(path: str | os.PathLike[str]) -> list[Record]:
    """The records of a manifest: the last one of each output, in the order in which outputs first appear.

    A last line without an end, which a process may leave that was killed, is left out.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no record; the message has its number.
    """
    records: dict[str, Record] = {}
    lines = Path(path).read_bytes().split(b"\n")[:-1]
    for number, line in enumerate(lines, 1):
        try:
            record = Record.from_json(line.decode())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)}, line {number}: not a record of a batch: {error}") from error
        records[record.output] = record
    return list(records.values())


class Manifest:
    """A manifest to be continued; made if there is none. One process alone may have it.

    Raises:
        OSError: it cannot be written to, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("a+b")
        try:
            _lock(self._file, path)
            self._drop_torn_line()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns."""
        self._file.write(record.to_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _drop_torn_line(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        self._file.truncate(data.rfind(b"\n") + 1)


def _lock(file: IO[bytes], path: Path) -> None:
    """Keep other processes out, where the system can; the lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(error.errno, "another batch is writing this manifest", str(path)) from error
