"""Finished maps read back lazily, with xarray."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geoseg import classes, grid
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import RasterError
from geoseg.layout import CLASS_FILE, CLASSES, CONFIDENCE, PROBABILITIES, work_folders
from geoseg.raster.cog import BLOCK
from geoseg.raster.drivers import driver_of
from geoseg.raster.file_source import FileSource

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

LAYERS = {"classes": CLASSES, "confidence": CONFIDENCE, "probabilities": PROBABILITIES}
"""The file of each variable."""

AGAIN = "make the map again with geoseg predict"
CHUNK = 4 * BLOCK
"""Side of the chunks: whole blocks of the files, 4 MiB of one band."""


def open_map(path: str | Path) -> xr.Dataset:
    """Open a map as an xarray.Dataset, which reads a chunk only when it is computed.

    Args:
        path: the map directory, or the classes.tif in it.

    Returns:
        ``classes`` (y, x), class ids, 255 without data; ``confidence`` (y, x), percent; and,
        where the map has them, ``probabilities`` (class, y, x), percent. All are uint8 Dask
        arrays, georeferenced for ``.odc.geobox`` and ``.rio.crs``. ``classes.attrs`` holds the
        class names and colours by id.

    Raises:
        RasterError: the path is not a finished map, or one of its files is on another grid.
        ClassError: its classes.yaml is not a class file.

    Example:
        >>> import geoseg
        >>> found = geoseg.open_map("map")
        >>> found.classes.attrs["class_names"], int((found.classes == 1).sum())
        (['land', 'water'], 10000)
    """
    import rioxarray  # noqa: F401  (registers the .rio accessor)
    import xarray as xr

    folder = _folder(Path(path))
    scheme = classes.load_yaml(folder / CLASS_FILE)
    geobox = FileSource(folder / CLASSES).geobox
    layers = {
        name: _layer(folder / file, name, scheme, geobox)
        for name, file in LAYERS.items()
        if (folder / file).is_file()
    }
    return xr.Dataset(layers, attrs={"Conventions": "CF-1.11"})


def _folder(path: Path) -> Path:
    folder = path.parent if path.name == CLASSES else path
    missing = [name for name in (CLASSES, CLASS_FILE) if not (folder / name).is_file()]
    if not missing:
        return folder
    if folder.is_dir() and any(work_folders(folder)):
        raise RasterError(
            "holds an unfinished map", where=path, fix="run the same geoseg predict again"
        )
    raise RasterError(
        "is not a map",
        where=path,
        got=f"no {' and no '.join(missing)} in it" if folder.is_dir() else "no such folder",
        wanted="a folder that geoseg predict has written",
        fix="give the folder of its -o",
    )


def _layer(path: Path, name: str, scheme: ClassScheme, geobox: GeoBox) -> xr.DataArray:
    import xarray as xr
    from odc.geo.xr import xr_coords

    misfit = grid.misfit(geobox, FileSource(path).geobox)
    if misfit:
        raise RasterError(
            "is not on the grid of the map's classes", where=path, got=misfit, fix=AGAIN
        )
    data = _data(path)
    coords: dict[Any, Any] = xr_coords(geobox, always_yx=True)
    if name == "probabilities":
        if len(data) != len(scheme.classes):
            raise RasterError(
                "has other classes than the map's class file",
                where=path,
                got=f"{len(data)} bands",
                wanted=f"{len(scheme.classes)}, one per class",
                fix=AGAIN,
            )
        array = xr.DataArray(data, coords | {"class": list(scheme.names)}, ("class", "y", "x"))
    else:
        array = xr.DataArray(data[0], coords, ("y", "x"))
    array.attrs = _attributes(path, name, scheme)
    array.encoding["grid_mapping"] = "spatial_ref"
    return array


def _data(path: Path) -> Any:
    """The bands as a Dask array.

    rioxarray reads through one handle behind a lock, so that chunks may be computed in threads.
    """
    import rasterio
    import rioxarray
    import xarray as xr

    driver = driver_of(path)
    with rasterio.open(path.absolute(), driver=driver) as dataset:
        mixed = dataset.interleaving is not None and dataset.interleaving.name == "pixel"
    chunks = {"band": -1 if mixed else 1, "y": CHUNK, "x": CHUNK}
    array = rioxarray.open_rasterio(
        path.absolute(), chunks=chunks, parse_coordinates=False, driver=driver
    )
    assert isinstance(array, xr.DataArray), "a GeoTIFF holds no subdatasets"
    return array.data


def _attributes(path: Path, name: str, scheme: ClassScheme) -> dict[str, Any]:
    """Attributes of the CF conventions, and the classes as plain lists.

    The no-data value is an attribute, not an encoding: as an encoding it would mean that 255 is
    NaN in memory, and ``.rio.nodata`` fails on a uint8 array with such an encoding.
    """
    nodata = {"_FillValue": np.uint8(IGNORE)}
    if name != "classes":
        (first, *more) = FileSource(path).bands
        long_name = "probability in percent" if more else first.name
        return {"long_name": long_name, "units": "percent", **nodata}
    return {
        "long_name": "class",
        "units": "1",
        "flag_values": np.arange(len(scheme.classes), dtype=np.uint8),
        "flag_meanings": " ".join("_".join(each.split()) for each in scheme.names),
        "class_names": list(scheme.names),
        "class_colors": [each.color for each in scheme.classes],
        **nodata,
    }
