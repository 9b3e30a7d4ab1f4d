"""Scenes of several files, one per band: folders, YAML files and STAC items."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from geoseg import yamlfile
from geoseg.errors import ConfigError, RasterError
from geoseg.options import ReadOptions, complaint
from geoseg.raster.block import RasterSource
from geoseg.raster.drivers import SUFFIXES, require_local
from geoseg.raster.file_source import FileSource
from geoseg.raster.stac_items import ItemScene
from geoseg.raster.stack_source import StackSource
from geoseg.remote import Address, Place, is_remote


class SceneFile(BaseModel):
    """A YAML file that describes a scene: named bands, each a single-band file or its address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: dict[str, str]
    nodata: float | None = None
    crs: str | None = None


def open_file(place: Place, options: ReadOptions, title: str = "") -> FileSource:
    """Open a raster file, and read its grid so that what is wrong with it shows now.

    Raises:
        RasterError: the file cannot be read, or lacks a CRS or geotransform.
        UnsafeError: it would make GDAL open or run something else.
    """
    source = FileSource(place, options.crs, options.nodata, options.alpha, title=title)
    _ = source.geobox
    return source


def locate(text: str, options: ReadOptions, folder: Path = Path()) -> Place:
    """The file that ``text`` names, relative to ``folder``, or an address if these are allowed.

    Raises:
        UnsafeError: ``text`` is no local file, and remote ones are not allowed.
    """
    if options.remote and is_remote(text):
        return Address(text)
    require_local(text)
    return folder / text


def open_item(scene: ItemScene, options: ReadOptions) -> RasterSource:
    """Open a STAC item: the assets named in the options, or all that hold data.

    Raises:
        RasterError: it is no STAC item, has no data, or a file cannot be read.
        ConfigError: an asset was asked for that it does not have.
        UnsafeError: its assets are remote, and that was not asked for.
    """
    item = scene.item()
    hrefs = scene.hrefs(item, options.bands)
    places = {name: locate(each, options, scene.path.parent) for name, each in hrefs.items()}
    if len(places) > 1:
        return _stack(item.id, places, options)
    [(name, place)] = places.items()
    source = open_file(place, options, title=item.id)
    # An asset asked for by name gives its band that name; an RGB asset has three of its own.
    single = name in options.bands and len(source.bands) == 1
    return replace(source, names=(name,)) if single else source


def open_folder(folder: Path, options: ReadOptions) -> RasterSource:
    """Open a folder whose rasters are the bands of one scene.

    Raises:
        RasterError: it holds no raster, several with more than one band, or bands that do not
            overlap.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise RasterError("holds no raster", where=folder)
    sources = [open_file(path, options) for path in paths]
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


def open_scene_file(path: Path, options: ReadOptions) -> RasterSource:
    """Open the scene that a YAML file describes; options outrank the file.

    Raises:
        ConfigError: the file does not describe a scene.
        RasterError: a band cannot be read, or the bands do not overlap.
        UnsafeError: a band is remote, and that was not asked for.
    """
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
    bands = {name: locate(file, options, path.parent) for name, file in content.bands.items()}
    return _stack(str(path), bands, options)


def band_names(paths: list[Path]) -> list[str]:
    """Name the files of a stack by the part of their names in which they differ.

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
    stems = [path.stem for path in paths]
    files = [path.name for path in paths]
    return next((each for each in (names, stems) if len(set(each)) == len(each)), files)


def _stack(name: str, bands: Mapping[str, Place], options: ReadOptions) -> RasterSource:
    sources: list[RasterSource] = []
    for band, place in bands.items():
        # Files of one band have no band to spare for alpha.
        source = open_file(place, options.model_copy(update={"alpha": None}))
        if len(source.bands) > 1:
            raise RasterError(
                "a band of a scene is a file of one band",
                where=source.name,
                got=f"{len(source.bands)} bands",
                fix=f"take it as a scene of its own, and name bands with --bands, not in {name}",
            )
        sources.append(replace(source, names=(band,)))
    return StackSource(name, tuple(sources), options.resampling)
