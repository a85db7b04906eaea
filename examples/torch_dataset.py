"""Read a folder of .inr files as a map-style dataset for a DataLoader of torch, or as a plain sequence without it.

python examples/torch_dataset.py FOLDER --size 192 128 --workers 4
python examples/torch_dataset.py FOLDER --size 64 64 --crop 0.5 2 --workers 4 --start spawn
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from inr_reader import Reader, inr_files, parser, read, reader_of
from numpy.typing import NDArray


class InrImages:
    """A sequence of images, each decoded when it is asked for.

    It can be pickled and holds no open file and no lock, so that workers may fork or spawn.

    Args:
        paths: the files, for example from `inr_files`.
        reader: what to decode from each file; by default the whole image.
        dtype: "uint8" for pixels as stored, or "float32" for 8-bit pixels scaled to 0..1.
    """

    def __init__(self, paths: Sequence[Path], reader: Reader | None = None, dtype: str = "uint8") -> None:
        self.paths = list(paths)
        self.reader = reader or Reader()
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Decode an image to an array of shape (channels, height, width)."""
        # From Python's own generator, which DataLoader seeds differently in each worker and epoch.
        pixels = self.reader(self.paths[index], seed=random.getrandbits(32))
        planes = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
        return planes if self.dtype == "uint8" else planes.astype(np.float32) / 255


def loader(images: InrImages, batch: int, processes: int, start: str | None = None) -> Any:
    """Return a DataLoader of shuffled batches, decoded by processes that stay for all epochs.

    Args:
        images: the dataset.
        batch: images per batch.
        processes: number of workers; with 0 the main process decodes.
        start: "fork", "spawn" or "forkserver"; None for the platform's default.
    """
    from torch.utils.data import DataLoader

    return DataLoader(
        images,
        batch_size=batch,
        shuffle=True,
        num_workers=processes,
        multiprocessing_context=start if processes else None,
        persistent_workers=processes > 0,
    )


def main() -> None:
    """Read a folder a few times and print images per second."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--workers", type=int, help="use a DataLoader with this number of workers; without it torch is not needed"
    )
    arguments.add_argument("--start", choices=("fork", "spawn", "forkserver"))
    options = arguments.parse_args()
    images = InrImages(inr_files(options.folder), reader_of(options), options.dtype)
    batches: Any = images
    if options.workers is not None:
        batches = loader(images, options.batch, options.workers, options.start)
    read(batches, len(images), options.epochs)


if __name__ == "__main__":
    main()
