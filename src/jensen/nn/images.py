"""What a convolutional model asks of its images, checked once when it is built."""

from __future__ import annotations

from jensen.errors import SpaceError, UsageError
from jensen.space import Space


def check_images(model: str, space: Space, channels: int, layers: int, **kernels: int) -> None:
    """Raise SpaceError unless rows are images, UsageError for sizes that make no network on them.

    A kernel is odd, and no wider than twice the image less one: taps further out would never meet a pixel.
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
    for name, size in kernels.items():
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
