"""A folder of .inr files as a map-style dataset for torch.utils.data.DataLoader, or a plain sequence without torch.

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
    """Images, decoded when they are asked for; can be pickled, holds no file and no lock: workers may fork or spawn.

    Args:
        paths: their files, as of `inr_files`.
        reader: what to decode of each.
        dtype: "uint8" for pixels as stored, "float32" for those of 8 bits as 0..1.
    """

    def __init__(self, paths: Sequence[Path], reader: Reader | None = None, dtype: str = "uint8") -> None:
        self.paths = list(paths)
        self.reader = reader or Reader()
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[Any]:
        """An image, shape (channels, height, width)."""
        # Of Python's own generator: DataLoader gives it another seed in each worker and epoch.
        pixels = self.reader(self.paths[index], seed=random.getrandbits(32))
        planes = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
        return planes if self.dtype == "uint8" else planes.astype(np.float32) / 255


def loader(images: InrImages, batch: int, processes: int, start: str | None = None) -> Any:
    """A DataLoader of shuffled batches, decoded by processes that stay for all epochs.

    Args:
        start: "fork", "spawn" or "forkserver"; None for the platform's own.
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
    """Read a folder a few times and print how fast that was."""
    arguments = parser(__doc__)
    arguments.add_argument("--workers", type=int, help="of a DataLoader; without, torch is not needed")
    arguments.add_argument("--start", choices=("fork", "spawn", "forkserver"))
    options = arguments.parse_args()
    images = InrImages(inr_files(options.folder), reader_of(options), options.dtype)
    batches: Any = images
    if options.workers is not None:
        batches = loader(images, options.batch, options.workers, options.start)
    read(batches, len(images), options.epochs)


if __name__ == "__main__":
    main()
