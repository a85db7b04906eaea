"""Latent grids -> the patches of them that an image's tiles need; and the adjoint, for gradients.

Both gather whole rows by an index, so that the graph depends on no shape: it serves images of all sizes.
"""

import tensorflow as tf


def cut(grid: tf.Tensor, cells: int, margin: int, tiles: tf.Tensor) -> tf.Tensor:
    """Cut a grid into overlapping patches; cells beyond its edges repeat those at the edge.

    Args:
        grid: shape (rows, columns).
        cells: side of a tile in cells of the grid.
        margin: cells around a tile that its patch has.
        tiles: rows and columns of tiles that the image fills, shape (2,), int32.
    Returns:
        Shape (tiles, side, side), row by row.
    """
    shape = tf.shape(grid)
    strips = tf.gather(grid, _reach(cells, margin, tiles[0], shape[0]))
    patches = tf.gather(tf.transpose(strips, [2, 0, 1]), _reach(cells, margin, tiles[1], shape[1]))
    side = cells + 2 * margin
    return tf.reshape(tf.transpose(patches, [2, 0, 3, 1]), [-1, side, side])


def joined(patches: tf.Tensor, cells: int, margin: int, tiles: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """The adjoint of `cut`: each cell of the grid takes the sum over its copies in all patches.

    Args:
        patches: shape (tiles, side, side).
        cells: side of a tile in cells of the grid.
        margin: cells around a tile that its patch has.
        shape: rows and columns of the grid, shape (2,), int32.
    """
    side = cells + 2 * margin
    apart = tf.reshape(patches, [tiles[0], tiles[1], side, side])
    strips = tf.math.unsorted_segment_sum(
        tf.transpose(apart, [1, 3, 0, 2]), _reach(cells, margin, tiles[1], shape[1]), shape[1]
    )
    return tf.math.unsorted_segment_sum(
        tf.transpose(strips, [1, 2, 0]), _reach(cells, margin, tiles[0], shape[0]), shape[0]
    )


def _reach(cells: int, margin: int, tiles: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Indices, along one axis, of the cells in each tile's patch, clipped to the grid; shape (tiles, side)."""
    reach = tf.range(tiles)[:, None] * cells + tf.range(-margin, cells + margin)
    return tf.clip_by_value(reach, 0, length - 1)
