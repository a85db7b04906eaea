"""Registers .inr files, and the plugin that reads and writes them, with imageio.

Importing imageio takes 0.2 s, so the registration waits until the application imports it.
"""

import sys
from types import ModuleType
from typing import Any

from . import import_hook

# The module that defines the lists of extensions and plugins.
_MODULE = "imageio.config"
_EXTENSION = ".inr"
_NAME = "Implicit neural representation"
_PLUGIN = "inr"
_READER = "inr-reader"
_MODULE_OF_PLUGINS = "pillow_inr.plugins.imageio_plugin"


def register() -> None:
    """Add .inr to imageio's lists of extensions and plugins, now or when imageio is imported; idempotent."""
    import_hook.after_import([_MODULE], _add)


def unregister() -> None:
    """Remove from imageio's lists what `register` added; idempotent."""
    import_hook.cancel(_add)
    if _MODULE in sys.modules:
        _remove(_config())


def _config() -> ModuleType:
    __import__(_MODULE)  # if another thread is importing it, this waits
    return sys.modules[_MODULE]


def _add() -> None:
    config = _config()
    _add_plugin(config)
    _add_extension(config)


def _add_plugin(config: ModuleType) -> None:
    def entry(name: str, class_name: str) -> Any:
        return config.PluginConfig(name=name, class_name=class_name, module_name=_MODULE_OF_PLUGINS)

    if _PLUGIN not in config.known_plugins:
        # For bytes without a name imageio tries all plugins in order, and Pillow's would reduce 16 bits to 8, so our
        # reader must come first. Writing without a name stays with Pillow, so our writer comes last.
        others = dict(config.known_plugins)
        config.known_plugins.clear()
        config.known_plugins[_READER] = entry(_READER, "InrReader")
        config.known_plugins.update(others)
        config.known_plugins[_PLUGIN] = entry(_PLUGIN, "InrPlugin")


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
    for name in (_PLUGIN, _READER):
        config.known_plugins.pop(name, None)


def _is_ours(entry: Any) -> bool:
    return bool(entry.name == _NAME)
