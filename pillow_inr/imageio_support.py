"""Tells imageio that .inr files exist and that its Pillow plugin reads and writes them.

Paths work without this; writing to bytes or a file object needs the extension in imageio's list. imageio takes 0.2 s
to import, so the entry waits until somebody else imports it.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_MODULE = "imageio.config.extensions"
_EXTENSION = ".inr"


def register() -> None:
    """Enter .inr into imageio's list of extensions, now or when imageio is imported; idempotent."""
    loaded = sys.modules.get(_MODULE)
    if loaded is not None:
        _add_extension(loaded)
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


def _add_extension(extensions: ModuleType) -> None:
    if _EXTENSION not in extensions.known_extensions:
        entry = extensions.FileExtension(
            name="Implicit neural representation", extension=_EXTENSION, priority=["pillow"]
        )
        extensions.known_extensions[_EXTENSION] = [entry]
        extensions.extension_list.append(entry)


class _AfterImport:
    """Lets the import system find one module as always, but adds our entry once it is executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """The module's own loader, followed by our entry. Not an importlib.abc.Loader: that import costs 10 ms."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self.loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module is as if it had been loaded without us, for inspect and reload.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _add_extension(module)
