"""Start-up files that make a whole Python environment read and write .inr files, in programs that never import us.

They go into the interpreter's site-packages: a module (a copy of import_hook.py) and two files of a line each that
call it when Python starts, pillow_inr_autoload.pth, and .start for Python 3.15 and later (PEP 829). Python run with
-S, and programs frozen into an executable, read no such files.
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
# Python runs a line that starts with "import". What goes wrong here would be a traceback at every start.
_PTH = rf'import sys; exec("try:\n import {_MODULE}\n {_MODULE}.install()\nexcept Exception:\n pass")' + "\n"
_START = f"{_MODULE}:install\n"


@dataclass(frozen=True, kw_only=True)
class Status:
    """What `status` found."""

    folders: tuple[Path, ...]
    """Where start-up files of ours are, among the site-packages folders that this interpreter reads."""
    current: bool
    """They are complete, and those of this release."""
    switched_off: bool
    """PILLOW_INR_AUTOLOAD=0 is set, so that they do nothing."""

    @property
    def enabled(self) -> bool:
        """There are start-up files."""
        return bool(self.folders)


def enable() -> tuple[Path, ...]:
    """Write the start-up files: where some are already, else into site-packages, or the user's if that is not writable.

    Returns:
        The files written; none when all were as they should be.
    Raises:
        OSError: a folder cannot be written to.
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
        OSError: a folder cannot be written to.
    """
    removed = []
    for folder in status().folders:
        # The lines that call the module go before it does.
        for path in [folder / name for name in reversed(_files())]:
            if path.exists():
                path.unlink()
                removed.append(path)
        _remove_compiled(folder / f"{_MODULE}.py")
    return tuple(removed)


def status() -> Status:
    """What of the start-up files is there."""
    atomic = _files()
    folders = [folder for folder in _site_folders() if any((folder / name).exists() for name in atomic)]
    return Status(
        folders=tuple(folders),
        current=all(_holds(folder / name, data) for folder in folders for name, data in atomic.items()),
        switched_off=os.environ.get(KILL_SWITCH) == "0",
    )


def _files() -> dict[str, bytes]:
    """Names and contents, the module first: no line may ever call what is not there."""
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
    """Spare an interpreter that may not write there from compiling the module at every start."""
    import py_compile

    py_compile.compile(str(module), quiet=2)


def _remove_compiled(module: Path) -> None:
    cached = Path(importlib.util.cache_from_source(str(module)))  # elsewhere if PYTHONPYCACHEPREFIX is set
    for folder in {cached.parent, module.parent / "__pycache__"}:
        for path in folder.glob(f"{_MODULE}.*.pyc"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
