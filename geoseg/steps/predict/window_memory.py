"""The errors of a window that exhausts the memory."""

from __future__ import annotations

from geoseg.errors import RetryError


class WindowMemoryError(MemoryError):
    """A window exhausts the memory even while nothing else computes.

    It is not a RetryError, which would end the work before the region has had its other attempts.
    """


def does_not_fit(window: int) -> RetryError:
    """The error for a window that exhausts the memory.

    Args:
        window: side of the window in pixels.
    """
    return RetryError(
        "a window does not fit the memory",
        got=f"{window} px",
        fix="free some memory, or name a smaller --window",
    )
