"""What a convolutional model asks of its images, checked once when it is built."""

from __future__ import annotations

from jensen.errors import SpaceError, UsageError
from jensen.space import Space


def fitting_kernels(
    model: str, space: Space, channels: int, layers: int, kernel: int | None, block_kernel: int | None
) -> tuple[int, int]:
    """The kernels of the first layer and of the blocks: as given, else 7 and 3 where the image is large enough.

    A kernel is odd, and no wider than twice the image less one: taps further out would never meet a pixel. Raises
    SpaceError unless rows are images, UsageError for sizes that make no network on them.
    """
    if not space.is_image:
        raise SpaceError(
            f"{model} models images (channels, height, width)", f"got {space.describe()}", "use made"
        )
    colours, height, width = space.shape
    if channels < colours or layers < 0:
        raise UsageError(
            "expected at least one channel a colour and 0 or more layers",
            f"got channels={channels}, layers={layers} for {colours} colours",
            "32 and 5 are usual",
        )
    most = 2 * max(height, width) - 1
    first = min(7, most) if kernel is None else kernel
    later = min(3, most) if block_kernel is None else block_kernel
    for name, size in (("kernel", first), ("block_kernel", later)):
        if size < 1 or size % 2 == 0:
            raise UsageError(
                "expected odd kernel sizes: an even kernel has no centre tap",
                f"got {name}={size}",
                "7 and 3 are usual",
            )
        if size > most:
            raise UsageError(
                f"the image is smaller than the kernel: at most {most} taps meet pixels of {height} x {width}",
                f"got {name}={size}",
                f"pass {name}={min(most, 3)}" if most > 1 else "use made for images of one pixel",
            )
    return first, later
