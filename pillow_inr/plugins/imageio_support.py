"""Tells imageio of .inr files and of the plugin that reads and writes them.

imageio takes 0.2 s to import, so the entries wait until somebody else imports it.
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
_READER = "inr-reader"
_MODULE_OF_PLUGINS = "pillow_inr.plugins.imageio_plugin"


def register() -> None:
    """Enter .inr into imageio's lists of extensions and plugins, now or when imageio is imported; idempotent."""
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
    def entry(name: str, class_name: str) -> Any:
        return config.PluginConfig(name=name, class_name=class_name, module_name=_MODULE_OF_PLUGINS)

    if _PLUGIN not in config.known_plugins:
        # Of bytes without a name imageio asks all plugins in turn, and Pillow's would make 8 bits of 16: so one of ours
        # must read before it. What is written without a name, however, is Pillow's.
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
