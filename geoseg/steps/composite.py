"""STAC items laid over each other: one lazy scene of a search's results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from geoseg.errors import ConfigError, InputError, RasterError, UnsafeError
from geoseg.options import Options

if TYPE_CHECKING:
    import pystac
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from geoseg.remote import Place

logger = logging.getLogger(__name__)
CHUNK = 2048
"""Side in pixels of what is read at once; a window of `predict` needs few of them."""
CLOUDY = (0, 1, 3, 8, 9, 10)
"""Of Sentinel-2's scene classification: no data, dazzled, shadow, cloud (medium, high), cirrus."""
NETWORK = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100", "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_MAX_RETRY": "5", "GDAL_HTTP_RETRY_DELAY": "0.5", "GDAL_NUM_THREADS": "1",
}  # fmt: skip
"""Transfers that stand still end, and those that fail are tried again."""


class CompositeOptions(Options):
    """Options of `composite`."""

    take: Literal["clearest", "median"] = "clearest"
    """Of several items, in each pixel: that of the item with the fewest clouds in all that is
    clear there, or the median of those that are."""

    clouds: str = "scl"
    """Asset with Sentinel-2's scene classification, whose clouds and shadows are left out; empty
    where there is none."""

    shift: int = 0
    """Added to each pixel: -1000 where Sentinel-2's offset of 2022 is still in the pixels."""

    dtype: Literal["uint8", "uint16", "int16", "float32"] = "uint16"
    """Of the scene: what the model was trained on. In whole numbers, 0 is no data."""

    gsd: float | None = Field(None, gt=0)
    """Pixel size in the units of the CRS; the finest of the bands by default."""

    remote: bool = False
    """Read http(s) and s3 addresses too, by ranges."""


def composite(
    items: Iterable[pystac.Item],
    bands: Sequence[str],
    *,
    options: CompositeOptions | None = None,
) -> xr.Dataset:
    """Lay STAC items over each other as one scene, which `predict` takes; nothing is read yet.

    Args:
        items: one item or several, on the CRS that most of them have.
        bands: assets by key, or by name or common name of their band; they name the variables.
        options: how pixels are chosen, and which are left out.

    Returns:
        A variable (y, x) for each band, backed by Dask.

    Raises:
        RasterError: an item lacks a band, or does not say where it lies.
        UnsafeError: a file is on a server, and that was not asked for, or is no plain raster.
        ConfigError: odc-stac is not installed.
    """
    options = options or CompositeOptions()
    several = sorted(items, key=lambda item: (_cloud_cover(item), item.id))
    if not several:
        raise RasterError("there are no items to lay over each other")
    _compare_offsets(several, bands[0], options.shift)
    cube = _load(several, bands, options).map(_known)
    if options.clouds:
        found = _load(several, [options.clouds], options, cube.odc.geobox)[options.clouds]
        cube = cube.where(~found.isin(CLOUDY))
    flat = _median(cube) if options.take == "median" else _first(cube)
    return (flat + options.shift).map(_stored, args=(options.dtype,))


def _cloud_cover(item: pystac.Item) -> float:
    return float(item.properties.get("eo:cloud_cover") or 0)


def _compare_offsets(items: list[pystac.Item], band: str, shift: int) -> None:
    """Say where the items state another offset: some providers have applied it and still do."""
    stated = {_offset(item, band) for item in items}
    if stated - {shift}:
        logger.warning(
            "the items state an offset of %s, and %d is added: look whether dark water is near 0",
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


def _load(
    items: list[pystac.Item],
    bands: Sequence[str],
    options: CompositeOptions,
    geobox: GeoBox | None = None,
) -> xr.Dataset:
    """The pixels by time, in the order of the items; classes keep their numbers."""
    import geoseg.gdal  # noqa: F401  (before any libgdal is loaded)

    try:
        import odc.stac
    except ImportError as error:
        raise ConfigError("this needs odc-stac", fix="pip install 'geoseg[stac]'") from error
    configure: Any = odc.stac.configure_rio
    load: Any = odc.stac.load
    configure(**NETWORK)
    where = items[0].id if len(items) == 1 else f"{items[0].id} and {len(items) - 1} more"
    grid = {"geobox": geobox} if geobox is not None else {"resolution": options.gsd}
    try:
        loaded: xr.Dataset = load(
            items,
            bands=list(bands),
            chunks={"x": CHUNK, "y": CHUNK},
            groupby="id",
            preserve_original_order=True,
            resampling="nearest" if geobox is not None else "bilinear",
            patch_url=_checked(options.remote),
            **{key: value for key, value in grid.items() if value is not None},
        )
    except InputError:
        raise
    except (ValueError, KeyError, OSError) as error:
        raise RasterError("cannot be loaded", where=where, got=error) from error
    return loaded


def _checked(remote: bool) -> Callable[[str], str]:
    """A function that lets the addresses of plain rasters pass; the first bytes decide."""
    from geoseg.raster.drivers import driver_of
    from geoseg.remote import Address

    def check(href: str) -> str:
        place = _place(href)
        if isinstance(place, Address) and not remote:
            raise UnsafeError(
                "is on a server, and that was not asked for", where=href, fix="remote=True"
            )
        if driver_of(place) == "VRT":
            raise UnsafeError("names other files", where=str(place), got="VRT")
        return place.gdal if isinstance(place, Address) and place.needs_signature else href

    return check


def _place(href: str) -> Place:
    from geoseg.remote import Address, is_remote

    if is_remote(href):
        return Address(href)
    parts = urlsplit(href)
    return Path(unquote(parts.path) if parts.scheme == "file" else href)


def _first(cube: xr.Dataset) -> xr.Dataset:
    layers = [cube.isel(time=index, drop=True) for index in range(cube.sizes["time"])]
    return reduce(lambda upper, lower: upper.fillna(lower), layers)


def _median(cube: xr.Dataset) -> xr.Dataset:
    import xarray as xr

    flat: xr.Dataset = xr.apply_ufunc(
        _medians, cube.chunk(time=-1), input_core_dims=[["time"]], dask="parallelized",
        output_dtypes=["float32"],
    )  # fmt: skip
    return flat


def _medians(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median over the last axis, NaN where there is nothing: numpy warns at each such pixel."""
    ordered = np.sort(pixels, axis=-1)
    count = np.isfinite(pixels).sum(axis=-1, keepdims=True)
    middle = (np.maximum(count - 1, 0) // 2, count // 2)
    low, high = (np.take_along_axis(ordered, each, axis=-1)[..., 0] for each in middle)
    return np.where(count[..., 0] > 0, (low + high) / 2, np.nan).astype(np.float32)


def _known(layer: xr.DataArray) -> xr.DataArray:
    """Pixels as numbers with NaN where there are none; float32 holds all of 16 bits."""
    nodata = layer.odc.nodata
    layer = layer if nodata is None else layer.where(layer != nodata)
    return layer.astype("float32")


def _stored(layer: xr.DataArray, dtype: str) -> xr.DataArray:
    if dtype == "float32":
        return layer
    least, most = (1, np.iinfo(dtype).max) if dtype[0] == "u" else (-(2**15) + 1, 2**15 - 1)
    whole = layer.round().clip(least, most).fillna(0).astype(dtype)
    stored: xr.DataArray = whole.assign_attrs(nodata=0)
    return stored
