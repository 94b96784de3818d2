"""How like or strange 48x27 pictures are to one another, whatever their light and contrast."""

import numpy as np

SAME = 0.4  # strangeness below which two pictures show the same
GRID = (9, 12)  # blocks that a frame is looked at by


def small_of(frames: np.ndarray) -> np.ndarray:
    """Return means of blocks of 4x3 pixels, float32 (N, 9 * 12 * 3)."""
    count = len(frames)
    blocks = frames.reshape(count, GRID[0], 3, GRID[1], 4, 3).sum(axis=(2, 4), dtype=np.uint16)
    return (blocks.reshape(count, -1) / np.float32(12)).astype(np.float32)


def strangeness(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Return how strange pictures are to others, float (N,): their difference as a share of that from unrelated ones.

    About 1 for two pictures that have nothing to do with one another, whatever their light and contrast; 0 for equal
    ones. Unrelated are the others mirrored: of the same light and colours, with nothing where it was. Both as by
    `small_of`.
    """
    apart = np.abs(these - those).mean(axis=1)
    grid = those.reshape(len(those), *GRID, 3)
    mirrored = (grid[:, :, ::-1], grid[:, ::-1], grid[:, ::-1, ::-1])
    unrelated = np.min([np.abs(these - m.reshape(these.shape)).mean(axis=1) for m in mirrored], axis=0)
    varied = np.maximum(variety(these), variety(those))  # the least that it can be, where both are symmetric
    return np.asarray(apart / np.maximum(np.maximum(unrelated, varied), 0.5))


def variety(small: np.ndarray) -> np.ndarray:
    """Return the mean absolute deviation of pictures from their mean colours."""
    pixels = small.reshape(len(small), GRID[0] * GRID[1], 3)
    return np.asarray(np.abs(pixels - pixels.mean(axis=1, keepdims=True)).mean(axis=(1, 2)))


def only_light(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Say which pictures show the same as others in another light: strange only until both have the same contrast."""
    return strangeness(even(these), even(those)) < SAME


def even(small: np.ndarray) -> np.ndarray:
    """Return pictures with a mean of 0 in each colour and a standard deviation of 32."""
    pixels = small.reshape(len(small), GRID[0] * GRID[1], 3)
    pixels = pixels - pixels.mean(axis=1, keepdims=True)
    return np.asarray(32 * pixels / np.maximum(pixels.std(axis=(1, 2), keepdims=True), 1)).reshape(small.shape)


def by_block(change: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(change).reshape(len(change), GRID[0] * GRID[1], 3).mean(axis=2))
