"""The pixels of STAC items, loaded lazily by odc-stac."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from geoseg.errors import ConfigError, InputError, RasterError, UnsafeError
from geoseg.steps.composite.options import CompositeOptions

if TYPE_CHECKING:
    import pystac
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from geoseg.remote import Place

CHUNK = 2048
"""Side of a Dask chunk in pixels: two or four of them cover a window of `predict`."""
NETWORK = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100", "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_MAX_RETRY": "5", "GDAL_HTTP_RETRY_DELAY": "0.5", "GDAL_NUM_THREADS": "1",
}  # fmt: skip
"""Stalled transfers are cut off and failed ones retried; GDAL by default does neither."""


def load_items(
    items: list[pystac.Item],
    bands: Sequence[str],
    options: CompositeOptions,
    geobox: GeoBox | None = None,
) -> xr.Dataset:
    """Load bands as (time, y, x), in the order of the items.

    Onto a given ``geobox``, pixels are resampled by nearest neighbour, as class ids must stay what
    they are.

    Raises:
        ConfigError: odc-stac is not installed.
        RasterError: the assets cannot be loaded.
        UnsafeError: an asset is not a plain raster, or lies elsewhere and ``remote`` is not set.
    """
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
            patch_url=_plain_rasters(options.remote),
            **{key: value for key, value in grid.items() if value is not None},
        )
    except InputError:
        raise
    except (ValueError, KeyError, OSError) as error:
        raise RasterError("cannot be loaded", where=where, got=error) from error
    return loaded


def _plain_rasters(remote: bool) -> Callable[[str], str]:
    """Return a function that passes the addresses of plain rasters on and refuses all others.

    The file's first bytes decide, not its name: GDAL too identifies a VRT by content.
    """
    from geoseg.raster.drivers import driver_of
    from geoseg.remote import Address

    def check(href: str) -> str:
        place = _place(href)
        if isinstance(place, Address) and not remote:
            raise UnsafeError(
                "is on a server, and reading from servers is off", where=href, fix="remote=True"
            )
        if driver_of(place) == "VRT":
            raise UnsafeError("refers to other files", where=str(place), got="VRT")
        return place.gdal if isinstance(place, Address) and place.needs_signature else href

    return check


def _place(href: str) -> Place:
    from geoseg.remote import Address, is_remote

    if is_remote(href):
        return Address(href)
    parts = urlsplit(href)
    return Path(unquote(parts.path) if parts.scheme == "file" else href)
