"""Grids of latents -> the patches that tiles of an image need of them, and the way back for gradients.

Both ways are gathers of whole rows with an index, so that no shape is compiled: one graph serves all image sizes.
"""

import tensorflow as tf

from .graph import MARGIN, cells, patch_cells


def cut(grid: tf.Tensor, level: int, tiles: tf.Tensor) -> tf.Tensor:
    """A grid's patches, which overlap and continue it beyond its edges.

    Args:
        grid: shape (rows, columns).
        tiles: rows and columns of tiles that the image fills.
    Returns:
        Shape (tiles, side, side), the tiles row by row.
    """
    shape = tf.shape(grid)
    strips = tf.gather(grid, _reach(level, tiles[0], shape[0]))
    patches = tf.gather(tf.transpose(strips, [2, 0, 1]), _reach(level, tiles[1], shape[1]))
    side = patch_cells(level)
    return tf.reshape(tf.transpose(patches, [2, 0, 3, 1]), [-1, side, side])


def joined(patches: tf.Tensor, level: int, tiles: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """The adjoint of `cut`: a cell of the grid takes the sum of what its copies in all patches got.

    Args:
        shape: rows and columns of the grid.
    """
    side = patch_cells(level)
    apart = tf.reshape(patches, [tiles[0], tiles[1], side, side])
    strips = tf.math.unsorted_segment_sum(
        tf.transpose(apart, [1, 3, 0, 2]), _reach(level, tiles[1], shape[1]), shape[1]
    )
    return tf.math.unsorted_segment_sum(tf.transpose(strips, [1, 2, 0]), _reach(level, tiles[0], shape[0]), shape[0])


def _reach(level: int, tiles: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Along one axis, the grid's cells that each tile's patch holds; beyond the edges that at the edge."""
    reach = tf.range(tiles)[:, None] * cells(level) + tf.range(-MARGIN, cells(level) + MARGIN)
    return tf.clip_by_value(reach, 0, length - 1)
