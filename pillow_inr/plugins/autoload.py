"""Start-up files with which every program of a Python environment reads and writes .inr files.

They go into site-packages: a module (a copy of import_hook.py), and two files of one line that call it when Python
starts: pillow_inr_autoload.pth, and pillow_inr_autoload.start for Python 3.15 and later (PEP 829). Python started with
-S, and programs frozen into an executable, do not read such files.
"""

import contextlib
import importlib.util
import os
import site
import sysconfig
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .._version import __version__
from ..storage import atomic
from .import_hook import KILL_SWITCH

_MODULE = "pillow_inr_autoload"
_HEADER = f"""\
# Written by 'pillow-inr autoload enable' of pillow_inr {__version__}. Python calls install() when it starts, because
# {_MODULE}.pth and {_MODULE}.start beside this file say so.
# To end that: 'pillow-inr autoload disable', or remove all three files.
# With {KILL_SWITCH}=0 in the environment, install() does nothing.

"""
# Python runs lines that start with "import". An error here would print a traceback at every start.
_PTH = rf'import sys; exec("try:\n import {_MODULE}\n {_MODULE}.install()\nexcept Exception:\n pass")' + "\n"
_START = f"{_MODULE}:install\n"


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of the start-up files."""

    folders: tuple[Path, ...]
    """Folders with start-up files of ours, among the site-packages folders that this interpreter reads."""
    current: bool
    """Whether they are complete and of this release."""
    switched_off: bool
    """Whether PILLOW_INR_AUTOLOAD=0 is set, which disables them."""

    @property
    def enabled(self) -> bool:
        """Whether there are start-up files."""
        return bool(self.folders)


def enable() -> tuple[Path, ...]:
    """Write the start-up files.

    They go where some are already; else into site-packages, or into the user's if that is not writable.

    Returns:
        The files written; () if all were up to date.
    Raises:
        OSError: a folder is not writable.
    """
    written = []
    for folder in status().folders or (_default_folder(),):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in _files().items():
            if not _holds(folder / name, data):
                atomic.check_writable(folder / name)
                atomic.write_atomically(folder / name, data)
                written.append(folder / name)
        _compile(folder / f"{_MODULE}.py")
    return tuple(written)


def disable() -> tuple[Path, ...]:
    """Remove the start-up files from every site-packages folder that this interpreter reads.

    Returns:
        The files removed.
    Raises:
        OSError: a folder is not writable.
    """
    removed = []
    for folder in status().folders:
        # The module goes last, after the lines that call it.
        for path in [folder / name for name in reversed(_files())]:
            if path.exists():
                path.unlink()
                removed.append(path)
        _remove_compiled(folder / f"{_MODULE}.py")
    return tuple(removed)


def status() -> Status:
    """Look for the start-up files."""
    files = _files()
    folders = [folder for folder in _site_folders() if any((folder / name).exists() for name in files)]
    return Status(
        folders=tuple(folders),
        current=all(_holds(folder / name, data) for folder in folders for name, data in files.items()),
        switched_off=os.environ.get(KILL_SWITCH) == "0",
    )


def _files() -> dict[str, bytes]:
    """Names and contents. The module comes first, so that no line calls a module that does not exist yet."""
    source = resources.files(__package__).joinpath("import_hook.py").read_text("utf-8")
    texts = {f"{_MODULE}.py": _HEADER + source, f"{_MODULE}.start": _START, f"{_MODULE}.pth": _PTH}
    return {name: text.encode() for name, text in texts.items()}


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def _site_folders() -> list[Path]:
    """The folders whose start-up files this interpreter reads."""
    folders = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return list(dict.fromkeys(Path(folder) for folder in folders))


def _default_folder() -> Path:
    folder = Path(sysconfig.get_path("purelib"))
    if site.ENABLE_USER_SITE and not os.access(folder, os.W_OK):
        return Path(site.getusersitepackages())
    return folder


def _compile(module: Path) -> None:
    """Compile the module now: an interpreter that may not write there would compile it at every start."""
    import py_compile

    py_compile.compile(str(module), quiet=2)


def _remove_compiled(module: Path) -> None:
    cached = Path(importlib.util.cache_from_source(str(module)))  # PYTHONPYCACHEPREFIX may lead elsewhere
    for folder in {cached.parent, module.parent / "__pycache__"}:
        for path in folder.glob(f"{_MODULE}.*.pyc"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
