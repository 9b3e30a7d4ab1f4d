"""One lazy scene composited from STAC items."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from geoseg.errors import RasterError
from geoseg.steps.composite.item_loading import load_items
from geoseg.steps.composite.options import CompositeOptions
from geoseg.steps.composite.pixel_choice import as_stored, first_clear, median, with_nan

if TYPE_CHECKING:
    import pystac
    import xarray as xr

__all__ = ["CompositeOptions", "composite"]

logger = logging.getLogger(__name__)
CLOUDY = (0, 1, 3, 8, 9, 10)
"""Classes of Sentinel-2's scene classification (SCL) that are masked: no data, saturated or
defective, cloud shadow, cloud of medium and of high probability, thin cirrus (Sentinel-2 L2A
product definition)."""


def composite(
    items: Iterable[pystac.Item],
    bands: Sequence[str],
    *,
    options: CompositeOptions | None = None,
) -> xr.Dataset:
    """Composite STAC items into one lazy scene that `predict` takes; pixels are read when used.

    Args:
        items: one item or several; the scene is in the CRS that most of them have.
        bands: assets, by key or by the name or common name of their band; they become the
            variables.
        options: which pixels count, and how one is chosen among several.

    Returns:
        A variable with dimensions (y, x) for each band, backed by Dask.

    Raises:
        RasterError: there are no items, or an item lacks a band or a CRS.
        UnsafeError: an asset is on a server and ``options.remote`` is off, or it refers to other
            files (VRT).
        ConfigError: odc-stac is not installed.

    Example:
        >>> import geoseg
        >>> import pystac
        >>> item = pystac.Item.from_file("item.json")
        >>> options = geoseg.CompositeOptions(clouds="")
        >>> scene = geoseg.composite([item], ["green", "nir"], options=options)
        >>> dict(scene.sizes)
        {'y': 192, 'x': 256}
    """
    options = options or CompositeOptions()
    several = sorted(items, key=lambda item: (_cloud_cover(item), item.id))
    if not several:
        raise RasterError("there are no items to composite")
    _compare_offsets(several, bands[0], options.shift)
    cube = load_items(several, bands, options).map(with_nan)
    if options.clouds:
        found = load_items(several, [options.clouds], options, cube.odc.geobox)[options.clouds]
        cube = cube.where(~found.isin(CLOUDY))
    flat = median(cube) if options.take == "median" else first_clear(cube)
    return (flat + options.shift).map(as_stored, args=(options.dtype,))


def _cloud_cover(item: pystac.Item) -> float:
    return float(item.properties.get("eo:cloud_cover") or 0)


def _compare_offsets(items: list[pystac.Item], band: str, shift: int) -> None:
    """Warn about a stated offset that is not applied.

    Since processing baseline 04.00 (January 2022) Sentinel-2 L2A pixels carry an offset of -1000;
    some providers have subtracted it already and state it all the same.
    """
    stated = {_offset(item, band) for item in items}
    if stated - {shift}:
        logger.warning(
            "the items state an offset of %s, and %d is added: check that dark water is near 0",
            " or ".join(str(each) for each in sorted(stated)),
            shift,
        )


def _offset(item: pystac.Item, band: str) -> int:
    asset = item.assets.get(band)
    if asset is None or item.properties.get("earthsearch:boa_offset_applied"):
        return 0
    fields = asset.extra_fields
    rows = fields.get("raster:bands") or fields.get("bands") or [{}]
    stated = {**fields, **rows[0]}
    offset = stated.get("raster:offset", stated.get("offset")) or 0
    return round(offset / (stated.get("raster:scale", stated.get("scale")) or 1))
