"""Scenes: a raster, a folder of bands, a YAML file, a STAC item, an array, or a list of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import ConfigError, InputError, RasterError
from geoseg.options import ReadOptions
from geoseg.raster.block import RasterSource, repeated
from geoseg.raster.file_source import FileSource
from geoseg.raster.multi_file_scenes import (
    locate,
    open_file,
    open_folder,
    open_item,
    open_scene_file,
)
from geoseg.raster.scene_lists import expand_path
from geoseg.raster.stac_items import ItemScene
from geoseg.raster.stack_source import StackSource
from geoseg.raster.warp_source import WarpSource
from geoseg.raster.xarray_source import XarraySource

if TYPE_CHECKING:
    import xarray as xr

type Scene = str | Path | xr.DataArray | xr.Dataset | RasterSource | ItemScene

OPENED_AT_ONCE = 16
"""Remote scenes opened at the same time: nearly all of opening is waiting for servers."""


def open_scene(scene: Scene, options: ReadOptions | None = None) -> RasterSource:
    """Open a scene as a source.

    Args:
        scene: a raster file or its address; a folder whose rasters are the bands of one scene; a
            YAML file with ``bands: {name: file}``; a STAC item; an ``xarray.DataArray`` or
            ``Dataset``; or any `RasterSource`.
        options: how to read it.

    Raises:
        RasterError: the scene cannot be read, lacks a CRS or geotransform, or stands for several.
        ConfigError: a band was asked for that the scene does not have, or a YAML file that
            describes no scene.
        UnsafeError: the scene is remote, and that was not asked for; or it would make GDAL open or
            run something else.

    Example:
        >>> import geoseg
        >>> scene = geoseg.open_scene("scene.tif")
        >>> [band.name for band in scene.bands], tuple(scene.geobox.shape)
        (['blue', 'green', 'red', 'nir'], (192, 256))
    """
    options = options or ReadOptions()
    several = list(expand(scene))
    if len(several) > 1:
        raise RasterError("stands for several scenes", where=str(scene), got=len(several))
    source = _open(several[0], options)
    _check_names(source)
    if not options.bands or options.bands == tuple(band.name for band in source.bands):
        return source
    positions = tuple(_position(source, band) for band in options.bands)
    if len(set(positions)) < len(positions):
        got = ", ".join(options.bands)
        raise ConfigError("a band is named twice", where="--bands", got=got, fix="name each once")
    return source.take(positions)


def open_scenes(
    scenes: Scene | Sequence[Scene], options: ReadOptions | None = None
) -> list[RasterSource]:
    """Open one scene or several.

    A pattern such as ``2024/*.tif`` stands for all files it matches, a .txt file for the scenes
    on its lines, and a .json file for its STAC items.

    Raises:
        InputError: as for `open_scene`.
        RasterError: several scenes fail; the error names them all.
    """
    options = options or ReadOptions()
    named = list(_each(scenes))

    def attempt(scene: Scene | InputError) -> RasterSource | InputError:
        try:
            return scene if isinstance(scene, InputError) else open_scene(scene, options)
        except InputError as error:
            return error

    with ThreadPoolExecutor(OPENED_AT_ONCE) as threads:
        found = list(threads.map(attempt, named) if options.remote else map(attempt, named))
    problems = [each for each in found if isinstance(each, InputError)]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise RasterError(
            f"{len(problems)} scenes cannot be used: " + " | ".join(map(str, problems))
        )
    return [each for each in found if not isinstance(each, InputError)]


def expand(scenes: Scene | Sequence[Scene]) -> Iterator[Scene]:
    """Yield scenes one by one; patterns, lists and STAC files are replaced by their scenes.

    Raises:
        RasterError: a pattern matches no file, or a list or a STAC file cannot be read.
    """
    for scene in _several(scenes):
        if isinstance(scene, str | Path):
            yield from expand_path(str(scene))
        else:
            yield scene


def _several(scenes: Scene | Sequence[Scene]) -> Sequence[Any]:
    return scenes if isinstance(scenes, list | tuple) else [scenes]


def _each(scenes: Scene | Sequence[Scene]) -> Iterator[Scene | InputError]:
    """The scenes, with an error in place of each that cannot be expanded."""
    for scene in _several(scenes):
        try:
            yield from list(expand(scene))
        except InputError as error:
            yield error


def _open(scene: Scene, options: ReadOptions) -> RasterSource:
    if isinstance(scene, ItemScene):
        return open_item(scene, options)
    if isinstance(scene, str | Path):
        place = locate(str(scene), options)
        if isinstance(place, Path) and place.is_dir():
            return open_folder(place, options)
        if isinstance(place, Path) and place.suffix.lower() in (".yaml", ".yml"):
            return open_scene_file(place, options)
        return open_file(place, options)
    if isinstance(scene, RasterSource):
        return _anew(scene)
    return XarraySource(scene)


def _anew(source: RasterSource) -> RasterSource:
    """The same source without what it knows of its files, which may have changed since."""
    if isinstance(source, StackSource):
        return replace(source, sources=tuple(map(_anew, source.sources)))
    if isinstance(source, WarpSource):
        return replace(source, source=_anew(source.source))
    return replace(source) if isinstance(source, FileSource) else source


def _check_names(source: RasterSource) -> None:
    twice = repeated([band.name for band in source.bands])
    if twice:
        raise RasterError(
            "several of its bands have one name", where=source.name, got=", ".join(twice),
            fix='name each: array.assign_coords(band=["red", "nir", ...])',
        )  # fmt: skip


def _position(source: RasterSource, band: str) -> int:
    """The position of a band given by its name, or by its number counted from 1."""
    names = [each.name for each in source.bands]
    if band in names:
        return names.index(band)
    if band.isdigit() and 1 <= int(band) <= len(names):
        return int(band) - 1
    raise ConfigError(
        f"has no band {band!r}", where=source.name, got=", ".join(names), fix="name one of these"
    )
