"""The manifest of a batch: one line of JSON for each image, written when its work ends. Standard library only."""

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
    """What became of an image. If it failed, its figures are None."""

    source: str
    """Path or URL, as it was found."""
    output: str
    """Path of the .inr file relative to the output folder, with forward slashes."""
    status: str
    """"done" or "failed"."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options given for the encode."""
    version: str
    """The release of pillow_inr that encoded it."""
    sha256: str | None = None
    """Checksum of the source file."""
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    dtype: str | None = None
    source_bytes: int | None = None
    """Size of the source file."""
    bytes: int | None = None
    """Size of the .inr file."""
    bpp: float | None = None
    """Bits per pixel."""
    psnr: float | None = None
    """PSNR of the decoded file against the source, in dB; also None if they are equal."""
    exact: bool = False
    """Whether the decoded file equals the source."""
    ms_ssim: float | None = None
    """MS-SSIM of the decoded file against the source; also None if the image is too small for it."""
    seconds: float | None = None
    """Duration of the encode."""
    output_sha256: str | None = None
    """Checksum of the .inr file."""
    worker: str | None = None
    """Host and process that encoded it, such as "node7:4711"."""
    attempts: int = 1
    """Number of times it was started; more than 1 if processes died."""
    error: str | None = None
    """Why it failed."""
    warning: str | None = None
    """Warnings of the encode."""
    time: str
    """When the work ended: ISO 8601, UTC."""

    @property
    def done(self) -> bool:
        """Whether its .inr file was written."""
        return self.status == DONE

    def to_json(self) -> str:
        """The record as a line of the manifest, without its end.

        Raises:
            ValueError: a figure is infinite or NaN, which JSON cannot hold.
        """
        # ASCII escapes can hold file names that are not valid Unicode, too.
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """Read the record in a line; ignores fields that this release does not know.

        Raises:
            ValueError: the line holds no valid record.
        """
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
        known = {entry.name for entry in fields(cls)}
        try:
            record = cls(**{name: value for name, value in found.items() if name in known})
        except TypeError as error:
            raise ValueError("fields are missing") from error
        _check(record)
        return record


_NUMBERS = ("width", "height", "channels", "source_bytes", "bytes", "bpp", "psnr", "ms_ssim", "seconds", "attempts")
_TEXTS = ("sha256", "dtype", "output_sha256", "worker", "error", "warning")


def _check(record: Record) -> None:
    """Check the types of the fields: somebody may have edited the manifest."""
    for name in ("source", "output", "version", "time"):
        if not isinstance(getattr(record, name), str):
            raise ValueError(f"{name} must be a string")
    for name in _TEXTS:
        if not isinstance(getattr(record, name), str | None):
            raise ValueError(f"{name} must be a string")
    for name in _NUMBERS:
        value = getattr(record, name)
        if isinstance(value, bool) or not isinstance(value, int | float | None) or not math.isfinite(value or 0):
            raise ValueError(f"{name} must be a finite number")
    if record.status not in (DONE, FAILED):
        raise ValueError(f"status must be '{DONE}' or '{FAILED}'")
    if not isinstance(record.options, dict):
        raise ValueError("options must be an object")
    if record.done and None in (record.width, record.height, record.bytes, record.bpp, record.seconds):
        raise ValueError("its status is done, but figures are missing")


def read(path: str | os.PathLike[str]) -> list[Record]:
    """The records of a manifest: the last one of each output, in the order in which outputs first appear.

    A last line without a newline is ignored: a process that was killed may leave one.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line holds no valid record; the message gives its number.
    """
    return _records(Path(path).read_bytes(), path)


def _records(data: bytes, path: str | os.PathLike[str]) -> list[Record]:
    records: dict[str, Record] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            record = Record.from_json(line.decode())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)}, line {number}: not a record of a batch: {error}") from error
        records[record.output] = record
    return list(records.values())


class Manifest:
    """A manifest that is open for more records; only one process can have it open. The file is made if necessary.

    Raises:
        OSError: it cannot be written, or another process has it open.
        ValueError: a line holds no valid record; the message gives its number.
    """

    earlier: list[Record]
    """The records that were in it when it was opened, as from `read`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("a+b")
        try:
            _lock(self._file, path)
            self._file.seek(0)
            data = self._file.read()
            self.earlier = _records(data, path)
            self._file.truncate(data.rfind(b"\n") + 1)  # without the torn line of a process that was killed
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


def _lock(file: IO[bytes], path: Path) -> None:
    """Keep other processes out, where the system can. The lock ends with this process, even if it is killed."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(error.errno, "another batch is writing this manifest", str(path)) from error
