"""What a program frozen by PyInstaller needs of pillow_inr beside the modules whose import PyInstaller sees."""

from PyInstaller.utils.hooks import collect_data_files, collect_dynamic_libs

from pillow_inr.models.registry import MODELS

datas = collect_data_files("pillow_inr")
# The kernel runs in wasmtime, which opens its library by its path.
binaries = collect_dynamic_libs("wasmtime", search_patterns=["*wasmtime*.so", "*wasmtime*.dylib", "*wasmtime*.dll"])
# Modules that are imported by a name in a string.
hiddenimports = [f"{model.package}.{module}" for model in MODELS for module in ("header", "model", "encoder")]
hiddenimports += ["pillow_inr.models.selection", "pillow_inr.plugins.imageio_plugin"]
# A program has these if it imports them itself: to save it needs TensorFlow, to open it does not.
excludedimports = ["imageio", "keras", "numcodecs", "tensorflow"]
# TensorFlow reads the source of functions with loops to turn them into graphs.
module_collection_mode = {"pillow_inr.models.siren.training.graph": "pyz+py"}
