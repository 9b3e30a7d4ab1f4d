"""Options of `composite`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geoseg.options import Options


class CompositeOptions(Options):
    """Options of `composite`.

    Example:
        >>> import geoseg
        >>> geoseg.CompositeOptions(take="median", shift=-1000).dtype
        'uint16'
    """

    take: Literal["clearest", "median"] = "clearest"
    """Which value a pixel gets where several items are clear: that of the item with the fewest
    clouds overall, or the median of all."""

    clouds: str = "scl"
    """Asset with Sentinel-2's scene classification, by which clouds and shadows are masked; empty
    if the items have none."""

    shift: int = 0
    """Added to each pixel: -1000 where the pixels still carry Sentinel-2's offset of 2022."""

    dtype: Literal["uint8", "uint16", "int16", "float32"] = "uint16"
    """Type of the scene, the one the model was trained on. In integer types, 0 is nodata."""

    gsd: float | None = Field(None, gt=0)
    """Pixel size in the units of the CRS; the finest of the bands by default."""

    remote: bool = False
    """Also read http(s) and s3 addresses, by range requests."""
