"""What a SCENE may be: a raster, a folder of bands, a YAML file, a STAC item, an array."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from geoseg import yamlfile
from geoseg.errors import ConfigError, InputError, RasterError
from geoseg.options import ReadOptions, complaint
from geoseg.raster.block import RasterSource
from geoseg.raster.drivers import SUFFIXES, require_local
from geoseg.raster.file_source import FileSource
from geoseg.raster.scene_lists import ItemScene, expand_path
from geoseg.raster.stack_source import StackSource
from geoseg.raster.xarray_source import XarraySource
from geoseg.remote import Address, Place, is_remote

if TYPE_CHECKING:
    import xarray as xr

type Scene = str | Path | xr.DataArray | xr.Dataset | RasterSource | ItemScene
ASKED_AT_ONCE = 16
"""Servers take a while to answer: so many remote scenes are opened together."""


class SceneFile(BaseModel):
    """A YAML file that describes a scene: named bands, each a single-band file or its address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: dict[str, str]
    nodata: float | None = None
    crs: str | None = None


def open_scene(scene: Scene, options: ReadOptions | None = None) -> RasterSource:
    """Open a scene as a source.

    Args:
        scene: a raster file or its address; a folder whose rasters are the bands of one scene; a
            YAML file with ``bands: {name: file}``; a STAC item; an ``xarray.DataArray`` or
            ``Dataset``; or any `RasterSource`.
        options: how to read it.

    Raises:
        RasterError: the scene cannot be read, or lacks a CRS or geotransform.
        ConfigError: a band was asked for that the scene does not have.
        UnsafeError: the scene is not on this machine, and that was not asked for.

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
    if not options.bands or options.bands == tuple(band.name for band in source.bands):
        return source
    return source.take(tuple(_position(source, band) for band in options.bands))


def open_scenes(
    scenes: Scene | Sequence[Scene], options: ReadOptions | None = None
) -> list[RasterSource]:
    """Open one scene or several.

    A pattern such as ``2024/*.tif`` stands for all files it matches, a .txt file for the scenes
    named on its lines, and a .json file for its STAC items.

    Raises:
        InputError: as `open_scene`; all scenes that fail are named in one error.
    """
    options = options or ReadOptions()
    named = list(_each(scenes))

    def attempt(scene: Scene | InputError) -> RasterSource | InputError:
        try:
            return scene if isinstance(scene, InputError) else open_scene(scene, options)
        except InputError as error:
            return error

    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
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
    """One scene or several, one by one; patterns, lists and STAC files become what they stand for.

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
    """The scenes, with an error in place of what cannot be expanded."""
    for scene in _several(scenes):
        try:
            yield from list(expand(scene))
        except InputError as error:
            yield error


def _open(scene: Scene, options: ReadOptions) -> RasterSource:
    if isinstance(scene, ItemScene):
        return _open_item(scene, options)
    if isinstance(scene, str | Path):
        place = _place(str(scene), options)
        if isinstance(place, Path) and place.is_dir():
            return _open_folder(place, options)
        if isinstance(place, Path) and place.suffix.lower() in (".yaml", ".yml"):
            return _open_yaml(place, options)
        return _checked(FileSource(place, options.crs, options.nodata, options.alpha))
    if isinstance(scene, RasterSource):
        return scene
    return XarraySource(scene)


def _place(text: str, options: ReadOptions, folder: Path = Path()) -> Place:
    """The file that a text names, seen from ``folder``, or an address where those are allowed."""
    if options.remote and is_remote(text):
        return Address(text)
    require_local(text)
    return folder / text


def _open_item(scene: ItemScene, options: ReadOptions) -> RasterSource:
    item = scene.item()
    hrefs = scene.hrefs(item, options.bands)
    places = {name: _place(each, options, scene.path.parent) for name, each in hrefs.items()}
    if len(places) == 1:
        [(name, place)] = places.items()
        source = FileSource(place, options.crs, options.nodata, options.alpha, title=item.id)
        single = name in options.bands and len(_checked(source).bands) == 1
        return replace(source, names=(name,)) if single else _checked(source)
    return _stack(item.id, places, options)


def _open_folder(folder: Path, options: ReadOptions) -> RasterSource:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise RasterError("holds no raster", where=folder)
    sources = [
        _checked(FileSource(path, options.crs, options.nodata, options.alpha)) for path in paths
    ]
    if len(sources) == 1:
        return sources[0]
    wide = [source for source in sources if len(source.bands) > 1]
    if wide:
        raise RasterError(
            "a folder is one scene and its rasters are its bands",
            where=wide[0].name,
            got=f"{len(wide[0].bands)} bands",
            wanted="one band per file",
            fix=f"give the files as scenes of their own: {folder / '*.tif'}",
        )
    return _stack(str(folder), dict(zip(band_names(paths), paths, strict=True)), options)


def _open_yaml(path: Path, options: ReadOptions) -> RasterSource:
    try:
        content = SceneFile.model_validate(yamlfile.read(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            "does not describe a scene",
            where=path,
            got=f"{'.'.join(map(str, first['loc']))}: {complaint(first)}",
            wanted="bands: {B02: file.tif, ...}",
        ) from error
    options = options.model_copy(
        update={
            "nodata": content.nodata if options.nodata is None else options.nodata,
            "crs": options.crs or content.crs,
        }
    )
    bands = {name: _place(file, options, path.parent) for name, file in content.bands.items()}
    return _stack(str(path), bands, options)


def _stack(name: str, bands: Mapping[str, Place], options: ReadOptions) -> RasterSource:
    sources: list[RasterSource] = []
    for band, place in bands.items():
        source = _checked(FileSource(place, options.crs, options.nodata))
        if len(source.bands) > 1:
            raise RasterError(
                "a band of a scene is a file of one band",
                where=source.name,
                got=f"{len(source.bands)} bands",
                fix=f"take it as a scene of its own, and name bands with --bands, not in {name}",
            )
        sources.append(replace(source, names=(band,)))
    return StackSource(name, tuple(sources), options.resampling)


def _checked(source: FileSource) -> FileSource:
    _ = source.geobox
    return source


def band_names(paths: list[Path]) -> list[str]:
    """Name the files of a stack by what tells them apart.

    Example:
        >>> band_names([Path("S2, 2018, B02.tif"), Path("S2, 2018, B8A.tif")])
        ['B02', 'B8A']
    """
    words = [re.findall(r"[A-Za-z0-9]+", path.stem) for path in paths]
    sentinel = [[w for w in each if re.fullmatch(r"B\d{1,2}A?", w)] for each in words]
    if all(len(each) == 1 for each in sentinel):
        names = [each[0] for each in sentinel]
    elif len({len(each) for each in words}) == 1:
        varying = [len(set(column)) > 1 for column in zip(*words, strict=True)]
        names = ["_".join(w for w, v in zip(each, varying, strict=True) if v) for each in words]
    else:
        names = [path.stem for path in paths]
    return names if len(set(names)) == len(names) else [path.stem for path in paths]


def _position(source: RasterSource, band: str) -> int:
    names = [each.name for each in source.bands]
    if band in names:
        return names.index(band)
    if band.isdigit() and 1 <= int(band) <= len(names):
        return int(band) - 1
    raise ConfigError(
        f"has no band {band!r}", where=source.name, got=", ".join(names), fix="name one of these"
    )
