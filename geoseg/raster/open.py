"""What a SCENE may be: a raster, a folder of single-band rasters, a YAML file, an array."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from geoseg import yamlfile
from geoseg.errors import ConfigError, InputError, RasterError
from geoseg.options import ReadOptions
from geoseg.raster.block import RasterSource
from geoseg.raster.drivers import SUFFIXES
from geoseg.raster.geotiff import FileSource
from geoseg.raster.stack import StackSource
from geoseg.raster.xarray import XarraySource

if TYPE_CHECKING:
    import xarray as xr

type Scene = str | Path | xr.DataArray | RasterSource


class SceneFile(BaseModel):
    """A YAML file that describes a scene: named bands, each a single-band file beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: dict[str, Path]
    nodata: float | None = None
    crs: str | None = None


def open_scene(scene: Scene, options: ReadOptions | None = None) -> RasterSource:
    """Open a scene as a source.

    Args:
        scene: a raster file; a folder whose rasters are the bands of one scene; a YAML file with
            ``bands: {name: file}``; an ``xarray.DataArray``; or any `RasterSource`.
        options: how to read it.

    Raises:
        RasterError: the scene cannot be read, or lacks a CRS or geotransform.
        ConfigError: a band was asked for that the scene does not have.
    """
    options = options or ReadOptions()
    source = _open(scene, options)
    if not options.bands:
        return source
    return source.take(tuple(_position(source, band) for band in options.bands))


def open_scenes(
    scenes: Scene | Sequence[Scene], options: ReadOptions | None = None
) -> list[RasterSource]:
    """Open one scene or several; a pattern such as ``2024/*.tif`` stands for all files it matches.

    Raises:
        InputError: as `open_scene`; all scenes that fail are named in one error.
    """
    sources: list[RasterSource] = []
    problems: list[InputError] = []
    for scene in expand(scenes):
        try:
            sources.append(open_scene(scene, options))
        except InputError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise RasterError(
            f"{len(problems)} scenes cannot be used: " + " | ".join(map(str, problems))
        )
    return sources


def expand(scenes: Scene | Sequence[Scene]) -> Iterator[Scene]:
    """One scene or several, one by one; a pattern becomes the files it matches, by name.

    Raises:
        RasterError: a pattern matches no file.
    """
    several: Sequence[Any] = scenes if isinstance(scenes, list | tuple) else [scenes]
    for scene in several:
        if (
            isinstance(scene, str | Path)
            and glob.has_magic(str(scene))
            and not Path(scene).exists()
        ):
            matches = sorted(glob.glob(str(scene), recursive=True))
            if not matches:
                raise RasterError(
                    "the pattern matches no file", where=scene, got=f"current folder {Path.cwd()}"
                )
            yield from matches
        else:
            yield scene


def _open(scene: Scene, options: ReadOptions) -> RasterSource:
    if isinstance(scene, str | Path):
        path = Path(scene)
        if path.is_dir():
            return _open_folder(path, options)
        if path.suffix.lower() in (".yaml", ".yml"):
            return _open_yaml(path, options)
        return _checked(FileSource(path, options.crs, options.nodata, options.alpha))
    if isinstance(scene, RasterSource):
        return scene
    return XarraySource(scene)


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
    return _stack(folder, dict(zip(band_names(paths), paths, strict=True)), options)


def _open_yaml(path: Path, options: ReadOptions) -> RasterSource:
    try:
        content = SceneFile.model_validate(yamlfile.read(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            "does not describe a scene",
            where=path,
            got=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            wanted="bands: {B02: file.tif, ...}",
        ) from error
    options = options.model_copy(
        update={
            "nodata": content.nodata if options.nodata is None else options.nodata,
            "crs": options.crs or content.crs,
        }
    )
    bands = {name: path.parent / file for name, file in content.bands.items()}
    return _stack(path, bands, options)


def _stack(where: Path, bands: dict[str, Path], options: ReadOptions) -> RasterSource:
    sources: list[RasterSource] = []
    for name, path in bands.items():
        source = _checked(FileSource(path, options.crs, options.nodata))
        if len(source.bands) > 1:
            raise RasterError(
                "a band of a scene is a file of one band",
                where=path,
                got=f"{len(source.bands)} bands",
                fix=f"take it as a scene of its own, and name bands with --bands, not in {where}",
            )
        sources.append(replace(source, names=(name,)))
    return StackSource(str(where), tuple(sources), options.resampling)


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
