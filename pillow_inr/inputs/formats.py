"""What files are by their names and first bytes, and the Pillow plugins of other packages that open some of them.

Reads no pixels. A file counts as an image if its name says so, even if nothing here can open it: it is then reported,
not left out.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path, PurePath
from typing import IO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from ..format.pixel_format import MODES
from ..format.ranges import CHANNELS_MAX
from ..format.signature import EXTENSION, FORMAT, MAGIC

ARRAY_SUFFIXES = (".npy", ".npz")
"""Name endings of NumPy's files."""

PREFIX_BYTES = 16
"""How much of a file the functions here look at to recognize it."""

ALREADY_INR = "it is an .inr file already, and a second fit would lose more: decode it first if you mean that"

_AS_ARRAY = f"store its samples as an array of up to {CHANNELS_MAX} channels in an .npy file"
NO_READER = f"not an image that Pillow can open: convert it, or {_AS_ARRAY}"

_NUMPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\x03\x04"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Brands of ISO base media files, which stand after "ftyp".
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
# Pillow recognizes it, but it is a video, of which Pillow shows nothing.
_VIDEO = "MPEG"

_RAW_ENDINGS = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2"
    " .srf .srw .x3f"
)
# High dynamic range and film, medicine, microscopy, astronomy, layered and scanned pictures.
_OTHER_ENDINGS = (
    ".exr .hdr .dpx .cin .dcm .dicom .nii .nrrd .mha .czi .lif .lsm .nd2 .ndpi .oib .oif .scn .svs .vsi .mrxs .fts .xcf"
    " .psb .kra .ora .djvu .jxr .wdp .hdp .pct .pict .xwd"
)


@dataclass(frozen=True)
class _Family:
    """Image formats that Pillow itself may not open."""

    endings: tuple[str, ...]
    advice: str
    """What to do if they cannot be opened."""
    module: str = ""
    """Module of a plugin for Pillow, which may be installed."""
    function: str = ""
    """Its function that registers the plugin; empty if the import does."""
    brands: tuple[bytes, ...] = ()
    """Brands by which the content is recognized."""
    signature: bytes = b""
    """First bytes by which the content is recognized; empty if there are none."""

    def recognizes(self, prefix: bytes) -> bool:
        by_brand = prefix[4:8] == b"ftyp" and prefix[8:12] in self.brands
        return by_brand or (bool(self.signature) and prefix.startswith(self.signature))


def _plugin_advice(name: str, package: str) -> str:
    return f"{name} needs a plugin for Pillow: pip install {package}"


RAW_ADVICE = "a camera's raw file, of which Pillow opens at most a preview: develop it to TIFF or PNG, or " + _AS_ARRAY
_RAW = _Family(tuple(_RAW_ENDINGS.split()), RAW_ADVICE)
_FAMILIES = (
    _Family(
        (".heic", ".heics", ".heif", ".heifs", ".hif"),
        _plugin_advice("HEIF", "pillow-heif"),
        "pillow_heif",
        "register_heif_opener",
        _HEIF_BRANDS,
    ),
    _Family((".avif", ".avifs"), _plugin_advice("AVIF", "pillow-avif-plugin"), "pillow_avif", "", _AVIF_BRANDS),
    _Family(
        (".jxl",),
        _plugin_advice("JPEG XL", "pillow-jxl-plugin"),
        "pillow_jxl",
        signature=b"\0\0\0\x0cJXL \r\n\x87\n",
    ),
    _RAW,
    _Family((".svg", ".svgz"), "vector graphics, which Pillow does not open: draw it as PNG first"),
    _Family(tuple(_OTHER_ENDINGS.split()), NO_READER),
)
_MORE_ENDINGS = {".mpo", *(ending for family in _FAMILIES for ending in family.endings)}


def ending(name: str | PurePath) -> str:
    """The ending of a name in lower case, with its dot; empty if there is none."""
    return PurePath(name).suffix.lower()


def is_array_name(name: str | PurePath) -> bool:
    """Whether a name is that of NumPy's files."""
    return ending(name) in ARRAY_SUFFIXES


def is_image_name(name: str | PurePath) -> bool:
    """Whether a name has the ending of an image: one that Pillow opens, or one of formats that others open."""
    suffix = ending(name)
    known = Image.registered_extensions().get(suffix)
    return suffix in _MORE_ENDINGS or (known in Image.OPEN and known not in (_VIDEO, FORMAT))


def is_inr_name(name: str | PurePath) -> bool:
    """Whether a name is that of an .inr file."""
    return ending(name) == EXTENSION


def is_array_data(prefix: bytes) -> bool:
    """Whether a file may be one of NumPy's by its first bytes; an .npz file is a ZIP archive."""
    return prefix.startswith((_NUMPY_MAGIC, _ZIP_MAGIC))


def is_inr_data(prefix: bytes) -> bool:
    """Whether a file is an .inr file by its first bytes."""
    return prefix.startswith(MAGIC)


def is_tiff_data(prefix: bytes) -> bool:
    """Whether a file is a TIFF by its first bytes."""
    return prefix.startswith(_TIFF_MAGIC)


def is_image_data(path: Path, prefix: bytes) -> bool:
    """Whether a file is an image by its content: Pillow recognizes it, or a plugin for Pillow would."""
    if any(family.recognizes(prefix) for family in _FAMILIES):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.format not in (_VIDEO, FORMAT)
    except UnidentifiedImageError:
        return False
    except Exception:  # reported when the image is read
        return True


def is_unopened_raw(suffix: str) -> bool:
    """Whether a name is that of a raw file, and no plugin of Pillow's claims it.

    Pillow itself takes many for TIFFs and opens the small preview that they contain.
    """
    return suffix.lower() in _RAW.endings and suffix.lower() not in Image.registered_extensions()


def register_plugin(suffix: str, prefix: bytes) -> bool:
    """Register the plugin for Pillow that opens such a file, where it is installed; whether there is one."""
    family = _family(suffix, prefix)
    return family is not None and bool(family.module) and _registered(family.module, family.function)


@cache
def _registered(module: str, function: str) -> bool:
    try:
        plugin = import_module(module)
        if function:
            getattr(plugin, function)()
    except (ImportError, AttributeError, OSError):  # missing, of another release, or without its library
        return False
    return True


def why_not_opened(suffix: str, file: IO[bytes]) -> str:
    """Why Pillow does not open a file, and what to do.

    Args:
        suffix: ending of its name, with the dot.
        file: at its beginning.
    """
    prefix = file.read(PREFIX_BYTES)
    if not prefix:
        return "the file is empty"
    if advice := tiff_advice(file):
        return advice
    family = _family(suffix, prefix)
    if family is None or register_plugin(suffix, prefix):
        return "not an image that Pillow can open"
    return family.advice


def _family(suffix: str, prefix: bytes) -> _Family | None:
    """The family of a file, by its content rather than its name."""
    found = [family for family in _FAMILIES if family.recognizes(prefix)]
    found += [family for family in _FAMILIES if suffix.lower() in family.endings]
    return found[0] if found else None


def tiff_advice(file: IO[bytes]) -> str:
    """What to do with a TIFF of samples that Pillow has no mode for; empty if it is no such TIFF."""
    file.seek(0)
    if is_tiff_data(file.read(PREFIX_BYTES)) and (bands := _tiff_bands(file)):
        return f"a TIFF of {bands}, for which Pillow has no mode: pip install tifffile, or {_AS_ARRAY}"
    return ""


def _tiff_bands(file: IO[bytes]) -> str:
    """The samples of a TIFF, such as "5 bands of 16 bits"; empty if Pillow has a mode for them, or on damage."""
    try:
        file.seek(0)
        tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
        bands, bits = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1), tags[TiffImagePlugin.BITSPERSAMPLE][0]
    except Exception:  # on damaged tags Pillow raises all kinds of errors
        return ""
    return f"{bands} band{'s' * (bands > 1)} of {bits} bits" if bands > len(MODES) or bits > 8 else ""
