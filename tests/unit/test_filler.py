"""An image that arrives run by run, put into the buffers that it belongs into."""

from __future__ import annotations

import numpy as np

from sotto.store import Filler, Placement


class Buffers:
    """What a filler writes to."""

    def __init__(self, *sizes: int) -> None:
        self.data = [bytearray(size) for size in sizes]

    def write(self, buffer: int, offset: int, data: np.ndarray) -> None:
        assert data.size
        self.data[buffer][offset : offset + data.size] = data.tobytes()


def test_an_image_is_put_where_it_belongs_however_it_is_cut() -> None:
    """Two placements that touch, a gap, and one into the middle of a buffer."""
    image = np.random.default_rng(3).integers(0, 256, 1000, np.uint8)
    placements = [Placement(700, 200, 1, 50), Placement(100, 250, 0, 0), Placement(350, 150, 2, 0)]
    for step in (1, 7, 100, 333, 1000):
        buffers = Buffers(250, 300, 150)
        filler = Filler(placements, buffers)  # type: ignore[arg-type]
        for at in range(0, image.size, step):
            filler.append(image[at : at + step])
        assert bytes(buffers.data[0]) == image[100:350].tobytes()
        assert bytes(buffers.data[1]) == bytes(50) + image[700:900].tobytes() + bytes(50)
        assert bytes(buffers.data[2]) == image[350:500].tobytes()
