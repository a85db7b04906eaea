"""Tells imageio that .inr files exist, and which of its plugins read and write them: ours, else that for Pillow.

Paths work without this; writing to bytes or a file object needs the extension in imageio's list. imageio takes 0.2 s
to import, so the entry waits until somebody else imports it.
"""

import sys
from types import ModuleType
from typing import Any

from . import import_hook

# The package that holds both lists, extensions and plugins; when it is imported, both are there.
_MODULE = "imageio.config"
_EXTENSION = ".inr"
_NAME = "Implicit neural representation"
_PLUGIN = "inr"


def register() -> None:
    """Enter .inr into imageio's lists of plugins and extensions, now or when imageio is imported; idempotent."""
    import_hook.after_import([_MODULE], _add)


def unregister() -> None:
    """Take out of imageio's lists what `register` put there; idempotent."""
    import_hook.cancel(_add)
    if _MODULE in sys.modules:
        _remove(_config())


def _config() -> ModuleType:
    __import__(_MODULE)  # another thread may be busy with it: this waits
    return sys.modules[_MODULE]


def _add() -> None:
    config = _config()
    _add_plugin(config)
    _add_extension(config)


def _add_plugin(config: ModuleType) -> None:
    if _PLUGIN not in config.known_plugins:
        config.known_plugins[_PLUGIN] = config.PluginConfig(
            name=_PLUGIN, class_name="InrPlugin", module_name="pillow_inr.imageio_plugin", install_name="pillow_inr"
        )


def _add_extension(config: ModuleType) -> None:
    known = config.known_extensions.setdefault(_EXTENSION, [])
    if not any(_is_ours(entry) for entry in known):
        entry = config.FileExtension(name=_NAME, extension=_EXTENSION, priority=[_PLUGIN, "pillow"])
        known.insert(0, entry)
        config.extension_list.append(entry)


def _remove(config: ModuleType) -> None:
    config.extension_list[:] = [entry for entry in config.extension_list if not _is_ours(entry)]
    others = [entry for entry in config.known_extensions.pop(_EXTENSION, []) if not _is_ours(entry)]
    if others:
        config.known_extensions[_EXTENSION] = others
    config.known_plugins.pop(_PLUGIN, None)


def _is_ours(entry: Any) -> bool:
    return bool(entry.name == _NAME)
