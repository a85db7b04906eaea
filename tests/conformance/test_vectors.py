"""The conformance vectors: none changes, each class of docs/format.md has one, this release reads and packs them."""

import hashlib
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import pillow_inr
from pillow_inr.format import metadata
from pillow_inr.models.pyramid import decoding, latent_coding, structure
from pillow_inr.models.pyramid.latent_coding import WeightResidual
from pillow_inr.models.pyramid.model import StoredPyramid
from pillow_inr.models.pyramid.tiles import pack_streams
from pillow_inr.models.siren import mosaic_coding, weight_coding
from pillow_inr.models.siren.division import Region, divided
from pillow_inr.models.siren.weight_coding import CodedTensor
from tests.support import coding0, container, plain_file, plain_pyramid, repack
from tests.support.checks import VECTORS as FOLDER
from tests.support.checks import check_pixels
from tests.support.container import open_model
from tests.vectors import inventory
from tests.vectors.inventory import SLOW, Vector, name_of

pytestmark = pytest.mark.decoding

SUMS = FOLDER / "SHA256SUMS"
SIRENS = [vector for vector in inventory.VECTORS if not vector.is_pyramid]
PYRAMIDS = [vector for vector in inventory.VECTORS if vector.is_pyramid]
# Streams that no release writes: random choices in place of the writer's, or zero words at the end left out.
NOT_THE_WRITERS = (
    "siren/choices",
    "siren/choices_sorted",
    "siren/choices_coding0",
    "siren/mosaic_choices",
    "pyramid/nothing",
)


def vectors(of: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", of, ids=[name_of(vector.path) for vector in of])


@pytest.fixture(autouse=True)
def _initializations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(FOLDER / "inits"))


def _listed(text: str) -> dict[str, str]:
    """Sums by name, as `sha256sum --check` reads them."""
    pairs = [line.split("  ", 1) for line in text.splitlines()]
    assert len({name for _, name in pairs}) == len(pairs)
    return {name: checksum for checksum, name in pairs}


def test_no_vector_changed_and_none_is_missing() -> None:
    files = [path for path in FOLDER.rglob("*") if path.suffix in (".inr", ".npz", ".png")]
    found = {path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert found == _listed(SUMS.read_text())


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=FOLDER.parent.parent, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no history here: {done.stderr.strip()}")
    return done.stdout


def test_the_list_of_vectors_only_grew() -> None:
    """Whoever changes a vector can also change the list, but not the lists in the history."""
    try:
        root = _git("rev-parse", "--show-toplevel").strip()
    except FileNotFoundError:
        pytest.skip("there is no git here")
    if Path(root).resolve() != FOLDER.parent.parent.resolve():
        pytest.skip("unpacked within another repository")
    name = SUMS.relative_to(FOLDER.parent.parent).as_posix()
    commits = _git("log", "--full-history", "--diff-filter=AM", "--format=%H", "HEAD", "--", name).split()
    if not commits:
        pytest.skip("the list is not in the history yet")
    now = _listed(SUMS.read_text()).items()
    for commit in commits:
        assert _listed(_git("show", f"{commit}:{name}")).items() <= now, commit


def test_each_class_of_the_document_has_a_vector() -> None:
    assert [text for text in inventory.CLASSES if not inventory.covering(text)] == []


def _stored(vector: Vector) -> dict[str, np.ndarray]:
    with np.load(vector.path.with_suffix(".npz")) as archive:
        stored = dict(archive)
    if "pixels" not in stored:
        with Image.open(vector.path.with_suffix(".png")) as image:
            stored["pixels"] = np.asarray(image)
    return stored


@vectors(SIRENS)
def test_symbols_and_pixels_of_a_siren(vector: Vector) -> None:
    stored = _stored(vector)
    header, payload, _ = container.unpack(vector.data)
    tensors = container.siren_tensors(header, payload)
    assert [tensor.step_index for tensor in tensors] == stored["step_indices"].tolist()
    assert np.concatenate([tensor.symbols.ravel() for tensor in tensors]).tolist() == stored["symbols"].tolist()
    pixels = pillow_inr.decode(vector.data)
    assert pixels.shape == header.shape
    check_pixels(stored["pixels"], pixels, header)


@pytest.mark.parametrize("decoder", ["the kernel, if wasmtime is installed", "NumPy"])
@vectors(PYRAMIDS)
def test_symbols_and_pixels_of_a_pyramid(vector: Vector, decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if decoder == "NumPy":
        monkeypatch.setattr(decoding, "kernel", lambda: None)
    stored = _stored(vector)
    network = open_model(vector.data)
    assert isinstance(network, StoredPyramid)
    pyramids = [network.tiles.decode_tile(tile) for tile in network.tiles.all()]
    tensors = [values.ravel() for pyramid in pyramids for values in pyramid.tensors.values()]
    assert (np.concatenate(tensors) == stored["tensors"]).all()
    assert (np.concatenate([grid.ravel() for p in pyramids for grid in p.grids]) == stored["symbols"]).all()
    pixels = pillow_inr.decode(vector.data)
    assert pixels.shape == network.header.shape
    check_pixels(stored["pixels"].reshape(pixels.shape), pixels, network.header)
    assert ("preview" in stored) == (plain_file.preview(vector.file) is not None)
    if "preview" in stored:
        preview = network.preview()
        assert preview is not None
        check_pixels(stored["preview"], preview.pixels(), network.header)


@vectors(inventory.VECTORS)
def test_pillow_opens_it(vector: Vector) -> None:
    pixels = pillow_inr.decode(vector.data)
    if vector.file.channels > 4 or name_of(vector.path) == "siren/uint32_one":  # values above those of mode I
        with pytest.raises(UnidentifiedImageError, match="no mode"):
            Image.open(io.BytesIO(vector.data))
        return
    with Image.open(io.BytesIO(vector.data)) as image:
        assert image.size == (vector.file.width, vector.file.height)
        shown = np.asarray(image)
    if pixels.dtype == np.uint8 or vector.file.channels == 1:
        np.testing.assert_array_equal(shown.reshape(pixels.shape), pixels)
    else:
        assert shown.dtype == np.uint8


@vectors(inventory.VECTORS)
def test_metadata(vector: Vector) -> None:
    _, _, chunks = container.unpack(vector.data)
    psnr_db = metadata.read_psnr(chunks)
    ours = metadata.Metadata.from_chunks(chunks).info() | ({} if psnr_db is None else {"psnr": psnr_db})
    assert ours == plain_file.metadata(vector.file)


@vectors([vector for vector in inventory.VECTORS if name_of(vector.path) not in ("pyramid/nothing", SLOW)])
def test_packed_again_the_bytes_are_the_same(vector: Vector) -> None:
    """Packed with the choices of its writer, whichever release that was."""
    if vector.file.model:
        assert repack.pyramid(vector.data, vector.pyramid) == vector.data
    else:
        assert repack.siren(vector.data, vector.siren) == vector.data


@vectors([vector for vector in inventory.VECTORS if name_of(vector.path) not in NOT_THE_WRITERS])
def test_this_releases_writer_makes_the_same_bytes(vector: Vector) -> None:
    """It makes the same choices as the writers of the vectors. (Coding 0 is only written by these tests.)"""
    header, payload, chunks = container.unpack(vector.data)
    if header.model.number == container.MODEL_SIREN:
        packed = _siren_payload(vector, container.siren_tensors(header, payload))
    else:
        packed = pack_streams(header.model, list(_streams(vector)))
    assert container.pack(header, packed, container.pack_chunks(chunks)) == vector.data


def _siren_payload(vector: Vector, tensors: list[CodedTensor]) -> bytes:
    coding = vector.file.fields["coding"]
    if coding != container.CODING_MOSAIC:
        return (weight_coding.encode_tensors if coding else coding0.encode_tensors)(tensors)
    splits: list[bool] = []
    parts = {tuple(part) for part in vector.siren.parts}

    def is_split(region: Region) -> bool:
        splits.append(tuple(region) not in parts)
        return splits[-1]

    networks = len(divided((vector.file.width, vector.file.height), vector.file.fields["O"], is_split))
    each = len(tensors) // networks
    return mosaic_coding.encode_mosaic(splits, [tensors[each * i : each * (i + 1)] for i in range(networks)])


def _streams(vector: Vector) -> Iterator[bytes]:
    """The streams of all tiles, coded again from what the second decoder finds of the networks."""
    file = vector.file
    preset = file.fields["preset"]
    prior = plain_pyramid.prior(preset, file.fields["prior"], file.channels, inventory.BASE_WEIGHTS)
    shapes = structure.shapes(preset, file.channels)
    network = open_model(vector.data)
    assert isinstance(network, StoredPyramid)
    for tile in network.tiles.all():
        # Of the prior its tensors' sizes count here.
        differences = plain_pyramid.decode_differences(plain_pyramid.Decoder(network.tiles.stream(tile)), prior)
        weight_residuals = {
            name: WeightResidual(exponent, np.array(symbols, np.int32).reshape(shapes[name]))
            for name, (exponent, symbols) in differences.items()
        }
        grids = network.tiles.decode_tile(tile).grids
        yield latent_coding.encode(preset, network.tiles.base(tile), weight_residuals, grids)
