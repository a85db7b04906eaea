"""The cost of reading a file: known from its header (`cost`), limited (`limits`), refused before it is spent."""

import io
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

import pillow_inr
from pillow_inr import cost, limits
from pillow_inr.errors import DamagedFileError, FormatError, LimitError
from pillow_inr.format.chunks import CHUNK_TRANSPARENCY
from pillow_inr.format.fields import pack_varint
from pillow_inr.format.header import Header
from pillow_inr.imaging.coordinates import Axis
from pillow_inr.imaging.samples import Scale
from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid.cost import PYRAMID_WORK
from pillow_inr.models.pyramid.tiles import Tiles
from pillow_inr.models.siren import cost as siren_cost
from pillow_inr.models.siren import model as siren_model
from pillow_inr.models.siren import synthesis as siren_synthesis
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.division import divided
from pillow_inr.models.siren.header import SirenHeader
from pillow_inr.models.siren.mosaic_coding import encode_mosaic
from pillow_inr.models.siren.synthesis import Grid, Network
from pillow_inr.models.siren.weight_coding import CodedTensor, encode_tensors
from tests.safety import fuzz_targets, hostile
from tests.support import container
from tests.support.checks import VECTORS, header, with_chunks
from tests.support.mosaics import header_of as header_of_mosaic
from tests.support.pyramids import draw_file, header_of

pytestmark = pytest.mark.decoding

CORPUS = Path(__file__).parents[1] / "corpus"
ALL_VECTORS = sorted(VECTORS.rglob("*.inr"))


def zeros(**fields: object) -> bytes:
    """A SIREN whose weights are all 0, and so take a few bytes however many there are."""
    wanted = header(**{"frequencies": 0, "frequency_ratio": 100, "payload_bytes": 0, **fields})
    shapes = wanted.model.architecture(wanted.channels).shapes
    payload = encode_tensors([CodedTensor(np.zeros(shape, np.int32), 144) for shape in shapes])
    return container.pack(replace(wanted, payload_bytes=len(payload)), payload)


def test_limits_are_found_in_the_package() -> None:
    assert pillow_inr.limits is limits
    assert issubclass(pillow_inr.LimitError, pillow_inr.FormatError)


def test_work_above_the_limit_is_refused_and_the_limit_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zeros(size=(100, 100), width=20, depth=1)
    work = cost.of_file(container.read_header(data)[0]).work
    monkeypatch.setattr(limits, "WORK_MAX", work - 1)
    with pytest.raises(LimitError, match=r"pillow_inr\.limits\.WORK_MAX"):
        pillow_inr.decode(data)
    with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match=r"pillow_inr\.limits\.WORK_MAX"):
        image.load()
    monkeypatch.setattr(limits, "WORK_MAX", work)
    assert not pillow_inr.decode(data).any()


@pytest.mark.parametrize("data", [zeros(size=(50, 60)), draw_file((50, 60))], ids=["siren", "pyramid"])
def test_memory_above_the_limit_is_refused_and_the_limit_named(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = cost.of_file(container.read_header(data)[0]).memory
    monkeypatch.setattr(limits, "MEMORY_MAX", memory - 1)
    with pytest.raises(LimitError, match=r"pillow_inr\.limits\.MEMORY_MAX"):
        pillow_inr.decode(data)
    monkeypatch.setattr(limits, "MEMORY_MAX", memory)
    pillow_inr.decode(data)


def test_a_few_bytes_may_not_stand_for_millions_of_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (1024, 512)
    unchanged = latent_coding.no_residuals(0, 3)
    grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes(size)]
    base = structure.base_weights(0, 0, 3)
    assert not latent_coding.decode(latent_coding.encode(0, base, unchanged, grids), 0, base, size).grids[0].any()
    grids[0][0, 0] = 1
    stream = latent_coding.encode(0, base, unchanged, grids)
    latent_coding.decode(stream, 0, base, size)
    monkeypatch.setattr(limits, "SYMBOLS_PER_BYTE", 100)
    with pytest.raises(LimitError, match=r"pillow_inr\.limits\.SYMBOLS_PER_BYTE"):
        latent_coding.decode(stream, 0, base, size)


def test_metadata_above_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (VECTORS / "described.inr").read_bytes()
    monkeypatch.setattr(limits, "METADATA_MAX", 10)
    with pytest.raises(OSError, match="more than 10 bytes of metadata"):
        Image.open(io.BytesIO(data))


def test_zero_weights_take_no_memory_until_they_are_needed() -> None:
    data = zeros(size=(5, 3), width=1024, depth=15)
    assert len(data) < 70
    damaged = data[:-4] + bytes(4)
    tracemalloc.start()
    for wrong in (damaged, fuzz_targets.with_checksum(data[:-5] + b"\x01")):
        with pytest.raises(FormatError):
            pillow_inr.decode(wrong)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize("shape", [{"width": 1024, "depth": 15}, {"width": 1, "depth": 1}])
@pytest.mark.parametrize("size", [(5, 3), (4096, 4096), (16777215, 10)])
@pytest.mark.parametrize("networks", [1 << 20, 20_000])
@pytest.mark.parametrize("byte", [0, 0x55, 0xFF])
def test_networks_that_a_file_only_claims_take_no_memory(
    shape: dict[str, int], size: tuple[int, int], networks: int, byte: int
) -> None:
    claimed = header_of_mosaic(size, networks=networks, overlap=0, pixel_format=2, payload_bytes=24, **shape)
    data = container.pack(claimed, bytes([byte]) * 24)
    assert len(data) <= 60
    pillow_inr.read_header(data)
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"limits\.|payload: the (image is divided into|data does not fit)"):
        pillow_inr.decode(data, size=(1, 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


def test_a_mosaic_of_wide_layers_that_taper_takes_no_more_memory_than_announced() -> None:
    size, splits = (64, 48), [True, True, False, False, True, False, False]
    made = header_of_mosaic(size, networks=4, width=1024, depth=15, taper=1, overlap=0)
    zero = [CodedTensor(np.zeros(shape, np.int32), 144) for shape in made.model.architecture(2).shapes]
    payload = encode_mosaic(splits, [zero] * 4)
    data = container.pack(container.changed(made, payload_bytes=len(payload)), payload)
    announced = cost.of_file(container.read_header(data)[0])
    # Padded to 1024 units each, the layers would take 230 MB.
    tracemalloc.start()
    assert not pillow_inr.decode(data).any()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < announced.memory


@pytest.mark.parametrize(
    ("size", "overlap", "points"),
    [((64, 64), 0, (64, 64)), ((256, 1), 0, (256, 1)), ((200, 90), 2, (400, 300)), ((300, 300), 4, (700, 90))],
)
def test_blocks_meet_no_more_parts_than_the_cost_counts(
    size: tuple[int, int], overlap: int, points: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = Architecture(width=1, depth=1, channels=1, frequencies=0, frequency_ratio=100)
    weights = [np.zeros(shape, np.float32) for shape in architecture.shapes]
    networks = [Network(part, weights) for part in divided(size, overlap, lambda _: True)]
    assert len(networks) > 30
    met: list[int] = []
    evaluate = siren_synthesis._Evaluator.evaluate

    def counted(self: Any, layers: Any, key: Any, x: Any, y: Any) -> Any:
        met.append(len(x) * len(y))
        return evaluate(self, layers, key, x, y)

    monkeypatch.setattr(siren_synthesis._Evaluator, "evaluate", counted)
    axes = (Axis(length, max(size), 0, length, count) for length, count in zip(size, points, strict=True))
    siren_synthesis.synthesize(architecture, networks, Grid(*axes), Scale("uint8", 1, ((0.0, 255.0),)))
    assert len(met) <= siren_cost.meetings_max(points, len(networks))
    assert sum(met) <= siren_cost.OVERLAPPING_MAX * points[0] * points[1]


def test_the_cost_of_a_mosaic_grows_with_its_networks() -> None:
    costs = [
        cost.of_file(header_of_mosaic((300, 200), networks=networks, overlap=overlap))
        for networks, overlap in ((1, 0), (2, 0), (2, 1), (100, 1), (1000, 1))
    ]
    assert costs == sorted(costs, key=lambda one: one.work)
    assert len({one.work for one in costs}) == 5
    assert costs[-1].memory > costs[0].memory


def test_no_memory_is_taken_for_pixels_before_all_streams_are_in_order() -> None:
    whole = draw_file((600, 300), tile=8)
    parsed, payload, _ = container.unpack(whole)
    data = container.pack(parsed, payload[:-8] + b"\xff" * 8)
    pillow_inr.decode(whole)
    tracemalloc.start()
    with pytest.raises(FormatError):
        pillow_inr.decode(data, size=(8000, 4000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6 < 8000 * 4000 * 3


@pytest.mark.parametrize(
    ("size", "raw"),
    [
        ((1, 200_000), bytes(200_000)),  # rows without a change
        ((2, 100_000), b"\2\0" + 99_999 * b"\0\0"),  # as many changes as above
        ((1_000_000, 2), pack_varint(1_000_000) + b"\1" * 999_999 + bytes(1_000_000)),  # as many as a row can have
        ((9, 9), bytes(1 << 26)),  # more rows than the image has
        (((1 << 24) - 1, 300), b"\1" * 300),  # of a large image only a corner is wanted
    ],
)
def test_transparency_takes_no_more_memory_than_promised(size: tuple[int, int], raw: bytes) -> None:
    chunk = container.Chunk(CHUNK_TRANSPARENCY, zlib.compress(raw, 9), required=True)
    data = with_chunks(zeros(size=size, pixel_format=1, width=1, depth=1), chunk)
    parsed, _ = container.read_header(data)
    tracemalloc.start()
    try:
        pixels = pillow_inr.decode(data, size=(1, 3), box=(0, 0, 1, 2))
    except FormatError as error:
        assert size == (9, 9) and "transparency is malformed" in str(error)
    else:
        assert pixels.shape == (3, 1, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < parsed.cost((1, 3)).memory < 600e6


@pytest.mark.parametrize(
    "size",
    [
        (1, 400_000),
        (400_000, 1),
        pytest.param((1, 2_000_000), marks=pytest.mark.slow),
        pytest.param((2_000_000, 1), marks=pytest.mark.slow),
    ],
)
def test_transparency_of_a_long_line_takes_no_more_memory_than_promised(size: tuple[int, int]) -> None:
    chunk = container.Chunk(CHUNK_TRANSPARENCY, zlib.compress(b"\1" * size[1]), required=True)
    data = with_chunks(zeros(size=size, pixel_format=1, width=1, depth=1), chunk)
    tracemalloc.start()
    pillow_inr.decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < container.read_header(data)[0].cost().memory


def test_transparency_above_the_limit_is_refused_and_the_limit_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (VECTORS / "siren" / "transparent.inr").read_bytes()
    memory = cost.of_transparency(container.read_header(data)[0].size, 100).memory
    monkeypatch.setattr(cost, "_ROW_BYTES", limits.MEMORY_MAX)
    assert memory < limits.MEMORY_MAX
    with pytest.raises(LimitError, match=r"pillow_inr\.limits\.MEMORY_MAX"):
        pillow_inr.decode(data)


def test_small_hostile_files_are_refused_with_little_memory() -> None:
    """`python -m tests.safety.hostile` measures their time."""
    for data in hostile.files(150, seed=1):
        assert len(data) <= hostile.FILE_BYTES
        tracemalloc.start()
        refused = _is_refused(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert not refused or peak < hostile.BYTES_MAX


def _is_refused(data: bytes) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "WORK_MAX", 10**8)  # valid files would take minutes
        try:
            pillow_inr.decode(data)
        except FormatError:
            return True
    return False


def test_lack_of_memory_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    data = zeros()
    monkeypatch.setattr(siren_model, "synthesize", no_memory)
    with pytest.raises(LimitError, match="not enough memory"):
        pillow_inr.decode(data)
    with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match="not enough memory"):
        image.load()


@pytest.mark.parametrize("path", ALL_VECTORS, ids=lambda path: path.stem)
def test_decoding_takes_no_more_memory_than_announced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))
    data = path.read_bytes()
    announced = cost.of_file(container.read_header(data)[0])
    tracemalloc.start()
    pillow_inr.decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < announced.memory


@pytest.mark.parametrize(
    ("parsed", "pixels"),
    [
        (header(size=(7, 5)), 35),
        (header_of((7, 5)), 35),
        (header_of((300, 5), tile=8), 1500),
    ],
    ids=["siren", "pyramid", "tiles"],
)
def test_announced_work_counts_every_pixel(parsed: Header[Any], pixels: int) -> None:
    siren = isinstance(parsed.model, SirenHeader)
    a_pixel = parsed.model.architecture(parsed.channels).weight_count if siren else PYRAMID_WORK
    assert cost.of_file(parsed).work > a_pixel * pixels


def test_a_region_of_tiles_costs_the_tiles_that_it_touches() -> None:
    parsed = header_of((1000, 600), tile=8)
    one = parsed.cost((10, 10), (10, 10, 20, 20))
    assert one == parsed.cost((10, 10), (0, 0, 256, 256))
    two = parsed.cost((10, 10), (10, 10, 257, 20))
    assert two.work == 2 * one.work
    # The last column of tiles has 232 pixels.
    assert parsed.cost((1, 1), (999, 0, 1000, 1)).work < one.work
    assert cost.of_file(parsed).work > 6 * one.work


@pytest.fixture
def truncated_images_load() -> Iterator[None]:
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    yield
    ImageFile.LOAD_TRUNCATED_IMAGES = False


@pytest.mark.usefixtures("truncated_images_load")
def test_whole_tiles_of_a_cut_file_are_shown_if_pillow_is_told_so() -> None:
    data = draw_file((600, 300), tile=8)
    whole = pillow_inr.decode(data)
    # Three tiles per row: the last tile of the second row is cut off, or the last four tiles are.
    ends = Tiles(*container.unpack(data)[:2]).ends + container.read_header(data)[1]
    for tiles in (5, 2):
        with Image.open(io.BytesIO(data[: ends[tiles] - 1])) as image:
            shown = np.asarray(image)
        assert (shown[:256, :512] == whole[:256, :512]).all()
        assert not shown[256:, 512:].any()
        assert (shown[256:, :512] == whole[256:, :512]).all() == (tiles == 5)
    with Image.open(io.BytesIO(data[:-2])) as image:  # only the checksum is cut
        assert (np.asarray(image) == whole).all()
        image.close()
    with Image.open(io.BytesIO(data[: ends[0] - 1])) as image, pytest.raises(OSError, match="cut off"):
        image.load()


@pytest.mark.usefixtures("truncated_images_load")
def test_what_cannot_be_shown_of_a_cut_file_is_refused_even_then() -> None:
    siren = (VECTORS / "rgb.inr").read_bytes()
    for count in (2, 5):
        with Image.open(io.BytesIO(siren[:-count])) as image, pytest.raises(OSError, match="cut off"):
            image.load()
    with pytest.raises(OSError, match="its model cannot be shown in part"):  # the chunks are cut
        Image.open(io.BytesIO((VECTORS / "described.inr").read_bytes()[:-9]))
    damaged = bytearray(siren)
    damaged[40] ^= 1
    with Image.open(io.BytesIO(damaged)) as image, pytest.raises(OSError, match="checksum"):
        image.load()
    with Image.open(io.BytesIO(draw_file((20, 10))[:-9])) as image, pytest.raises(OSError, match="cut off"):
        image.load()
    with pytest.raises(DamagedFileError):
        pillow_inr.decode(draw_file((600, 300), tile=8)[:-1])


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name[:8]}")
def test_what_fuzzing_found_stays_in_order(path: Path) -> None:
    fuzz_targets.TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(fuzz_targets.TARGETS)
