"""Images per second of examples/: .inr beside JPEG of equal bytes, whole, at a quarter of the size, 64x64 at random.

python benchmarks/datasets.py FOLDER --count 24 --size 768x512 --effort 1

FOLDER has images, which are encoded with both models, or .inr files of one size, which are taken as they are. JPEG goes
through the same processes, decoded by Pillow, with `draft` for the quarter; and through TensorFlow's own decoder, which
needs no processes. Without torch its rows are left out.
"""

import argparse
import functools
import importlib.util
import itertools
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from common import image_paths, jpeg_of_size, machine, rgb_image, seconds, table
from numpy.typing import NDArray
from PIL import Image

import pillow_inr
from pillow_inr.runtime import threads

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))

import tf_dataset  # noqa: E402
import torch_dataset  # noqa: E402
from inr_reader import Reader, inr_files  # noqa: E402

SAMPLES = EXAMPLES.parent / "samples"
# At the default quality a SIREN of a photograph is larger than a pyramid; 15 lies in the range that suits it.
QUALITIES = {"pyramid": 50, "siren": 15}
BATCH = 8
CORES = threads.cores()


class JpegReader(Reader):
    """Reads a JPEG file the way `Reader` reads an .inr file."""

    def __call__(self, path: Path, seed: int | None = None) -> NDArray[np.uint8]:
        with Image.open(path) as image:
            if self.crop:
                return np.asarray(image.crop(self.random_region(image.size, seed)))  # type: ignore[arg-type]
            if self.size:
                image.draft("RGB", self.size)
                return np.asarray(image.resize(self.size, Image.Resampling.BOX))
            return np.asarray(image)


Pipeline = Callable[[list[Path], Reader], Any]
"""A context that yields batches."""


def sequence(paths: list[Path], reader: Reader) -> Any:
    return nullcontext(torch_dataset.InrImages(paths, reader))


def torch_loader(processes: int, paths: list[Path], reader: Reader) -> Any:
    # Not forked: TensorFlow may be running in this process.
    return nullcontext(torch_dataset.loader(torch_dataset.InrImages(paths, reader), BATCH, processes, "spawn"))


def tf_pool(processes: int, paths: list[Path], reader: Reader) -> Any:
    return tf_dataset.batches(paths, reader, batch=BATCH, processes=processes)


@contextmanager
def tf_threads(paths: list[Path], reader: Reader) -> Iterator[Any]:
    import tensorflow as tf

    def load(path: Any) -> Any:
        return tf.numpy_function(lambda name: reader(Path(name.decode())), [path], tf.uint8)

    names = tf.data.Dataset.from_tensor_slices(list(map(str, paths)))
    threads.limit_cores(1)
    yield names.map(load, num_parallel_calls=CORES).batch(BATCH).prefetch(2)
    threads.limit_cores(CORES)


@contextmanager
def tf_jpeg(paths: list[Path], reader: Reader) -> Iterator[Any]:
    """Batches by TensorFlow's own JPEG decoder, which reads no .inr."""
    import tensorflow as tf

    def load(path: Any) -> Any:
        data = tf.io.read_file(path)
        if reader.crop:
            height, width = tf.unstack(tf.io.extract_jpeg_shape(data)[:2])
            across, down = reader.size or (0, 0)
            left = tf.random.uniform([], 0, width - across + 1, tf.int32)
            top = tf.random.uniform([], 0, height - down + 1, tf.int32)
            return tf.io.decode_and_crop_jpeg(data, [top, left, down, across], channels=3)
        return tf.io.decode_jpeg(data, channels=3, ratio=4 if reader.size else 1)

    names = tf.data.Dataset.from_tensor_slices(list(map(str, paths)))
    yield names.map(load, num_parallel_calls=CORES).batch(BATCH).prefetch(2)


def pipelines() -> dict[str, Pipeline]:
    rows: dict[str, Pipeline] = {"plain sequence, threads within an image": sequence}
    for processes in sorted({1, CORES}):
        if importlib.util.find_spec("torch"):
            rows[f"torch, processes: {processes}"] = functools.partial(torch_loader, processes)
        rows[f"tf.data, processes: {processes}"] = functools.partial(tf_pool, processes)
    rows[f"tf.data, {CORES} threads, no processes"] = tf_threads
    rows[f"tf.data, {CORES} threads, decode_jpeg"] = tf_jpeg
    return rows


def images_per_second(pipeline: Pipeline, paths: list[Path], reader: Reader, runs: int) -> float:
    """Median over some passes, after one that starts processes and fills caches."""

    def read_all() -> None:
        for _ in batches:
            pass

    with pipeline(paths, reader) as batches:
        read_all()
        return len(paths) / statistics.median(seconds(read_all) for _ in range(runs))


def inr_columns(arguments: argparse.Namespace, target: Path) -> dict[str, list[Path]]:
    """.inr files in a folder of this benchmark: copies, or images encoded with each model."""
    if all(path.suffix == ".inr" for path in arguments.folder.iterdir()):
        found = inr_files(arguments.folder)[: arguments.count]
        return {".inr": [Path(shutil.copy(path, target / f"{number}.inr")) for number, path in enumerate(found)]}
    size = tuple(map(int, arguments.size.split("x")))
    made: dict[str, list[Path]] = {f"{model} .inr": [] for model in QUALITIES}
    for number, path in enumerate(image_paths(arguments.folder)[: arguments.count]):
        image = rgb_image(path)
        upright = image if image.width >= image.height else image.transpose(Image.Transpose.ROTATE_90)
        resized = upright.resize(size, Image.Resampling.LANCZOS)
        for (model, quality), paths in zip(QUALITIES.items(), made.values(), strict=True):
            paths.append(target / f"{number}-{model}.inr")
            pillow_inr.save(resized, paths[-1], model=model, quality=quality, effort=arguments.effort)
    return made


def as_jpeg(path: Path) -> Path:
    """Write a JPEG of the decoded image beside an .inr file, as near to its size as JPEG comes."""
    jpeg = path.with_suffix(".jpg")
    jpeg.write_bytes(jpeg_of_size(rgb_image(path), path.stat().st_size))
    return jpeg


def readers(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Arguments of the reader for each table."""
    sizes = {pillow_inr.read_header(path).size for path in paths}
    if len(sizes) > 1:
        raise SystemExit(f"images must be of one size to be read in batches, found {sorted(sizes)}")
    width, height = sizes.pop()
    small = width // 4, height // 4
    return {
        f"whole, {width}x{height}": {},
        f"whole at {small[0]}x{small[1]}": {"size": small},
        "64x64 at random": {"size": (64, 64), "crop": (1, 1)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=SAMPLES)
    parser.add_argument("--count", type=int, default=24, help="largest number of images")
    parser.add_argument("--size", default="768x512", help="WIDTHxHEIGHT of the encoded images")
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--images", type=int, default=128, help="images per pass; repeated if there are fewer")
    parser.add_argument("--runs", type=int, default=2, help="timed passes")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        columns: list[tuple[str, type[Reader], list[Path]]] = []
        for name, paths in inr_columns(arguments, Path(folder)).items():
            for kind, reader, same in (name, Reader, paths), ("JPEG", JpegReader, [as_jpeg(path) for path in paths]):
                kilobytes = statistics.mean(path.stat().st_size for path in same) / 1000
                columns.append((f"{kind}, {kilobytes:.1f} kB", reader, same))
        for case, options in readers(paths).items():
            print(f"\nimages per second, {case}\n")
            rows = [
                [row, *(cell(pipeline, reader(**options), paths, arguments) for _, reader, paths in columns)]
                for row, pipeline in pipelines().items()
            ]
            print(table(["", *(name for name, _, _ in columns)], rows), flush=True)


def cell(pipeline: Pipeline, reader: Reader, paths: list[Path], arguments: argparse.Namespace) -> str:
    if pipeline is tf_jpeg and not isinstance(reader, JpegReader):
        return "-"
    cycled = list(itertools.islice(itertools.cycle(paths), arguments.images))
    return f"{images_per_second(pipeline, cycled, reader, arguments.runs):.1f}"


if __name__ == "__main__":
    main()
