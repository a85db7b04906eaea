"""Read a folder of .inr files as a tf.data pipeline, decoded by a pool of processes.

python examples/tf_dataset.py FOLDER --size 192 128
python examples/tf_dataset.py FOLDER --size 64 64 --crop 0.5 2 --dtype float32

Decoding takes many short NumPy steps, each of which needs Python's lock, so threads mostly wait for each other. Here
the threads of tf.data only wait for processes; order, shuffling and prefetching are left to tf.data.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from inr_reader import Reader, inr_files, parser, read, reader_of

from pillow_inr.runtime import threads


@contextlib.contextmanager
def batches(
    paths: Sequence[Path],
    reader: Reader,
    *,
    batch: int = 8,
    channels: int = 3,
    dtype: str = "uint8",
    processes: int | None = None,
    seed: int = 0,
) -> Iterator[Any]:
    """Yield a `tf.data.Dataset` of shuffled batches; it works as long as the context lasts.

    Args:
        paths: files with 8 bits per sample.
        reader: what to decode from each file. Without a size, all images must have the same size.
        batch: images per batch.
        channels: number of channels, the same for every image.
        dtype: "uint8", or "float32" for 0..1.
        processes: number of decoding processes; by default one per core.
        seed: chooses order and random regions, which differ from epoch to epoch.
    Yields:
        The dataset. A batch has shape (images, height, width, channels).
    """
    import tensorflow as tf  # not at the top: spawned processes import this module, too, and only decode

    processes = processes or threads.cores()
    width, height = reader.size or (None, None)
    # Spawned, not forked: a fork loses TensorFlow's threads, and locks that they hold would stay locked.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:

        def decoded(names: Any, seeds: Any) -> Any:
            # A batch at a time, because handing one array over takes as long as decoding a small region.
            return pool.submit(reader.batch, [Path(os.fsdecode(name)) for name in names], seeds.tolist()).result()

        def load(names: Any, seeds: Any) -> Any:
            pixels = tf.numpy_function(decoded, (names, seeds), tf.uint8)
            return tf.image.convert_image_dtype(tf.ensure_shape(pixels, (None, height, width, channels)), dtype)

        names = tf.data.Dataset.from_tensor_slices([os.fspath(path) for path in paths])
        seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        shuffled = tf.data.Dataset.zip(names.shuffle(len(paths), seed), seeds).batch(batch)
        waiting = 2 * processes  # so that a process that is done finds its next batch
        options = tf.data.Options()
        # A private pool: these threads only wait, and TensorFlow's own are for the model.
        options.threading.private_threadpool_size = waiting + 1
        yield shuffled.map(load, num_parallel_calls=waiting).with_options(options).prefetch(1)


def main() -> None:
    """Read a folder a few times and print images per second."""
    arguments = parser(__doc__)
    arguments.add_argument("--processes", type=int)
    options = arguments.parse_args()
    paths = inr_files(options.folder)
    reader = reader_of(options)
    with batches(paths, reader, batch=options.batch, dtype=options.dtype, processes=options.processes) as dataset:
        read(dataset, len(paths), options.epochs)


if __name__ == "__main__":
    main()
