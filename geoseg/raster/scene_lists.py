"""Scenes by the many: patterns, lists, and items of a SpatioTemporal Asset Catalog (STAC)."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from geoseg.errors import ConfigError, RasterError, UnsafeError
from geoseg.options import complaint
from geoseg.raster.drivers import NOT_LOCAL, SUFFIXES
from geoseg.remote import is_remote

LIST = ".txt"
STAC = ".json"
RASTER_TYPE = re.compile(r"image/(tiff|jp2|jpx|png|jpeg|vnd\.stac\.geotiff)\b", re.IGNORECASE)
BESIDE = {"thumbnail", "overview", "metadata"}
"""Roles of assets that accompany the data."""


class Asset(BaseModel):
    """A file of a STAC item, as far as it matters here."""

    href: str
    type: str | None = None
    roles: tuple[str, ...] | None = None
    bands: tuple[dict[str, Any], ...] | None = None
    eo_bands: tuple[dict[str, Any], ...] | None = Field(None, alias="eo:bands")

    @property
    def is_raster(self) -> bool:
        """Whether it is an image, and not one to look at only."""
        if BESIDE & set(self.roles or ()):
            return False
        if self.type:
            return RASTER_TYPE.match(self.type) is not None
        return re.split(r"[?#]", self.href, maxsplit=1)[0].lower().endswith(SUFFIXES)

    @property
    def is_data(self) -> bool:
        """Whether it belongs to the scene when nobody says which assets do."""
        return self.is_raster and (not self.roles or "data" in self.roles)

    @property
    def aliases(self) -> set[str]:
        """What its band is called, where it has but one."""
        bands = self.eo_bands or self.bands or ()
        keys = ("name", "common_name", "eo:common_name")
        return {str(bands[0][key]) for key in keys if key in bands[0]} if len(bands) == 1 else set()


class Item(BaseModel):
    """A STAC item, as far as it matters here."""

    id: str
    assets: dict[str, Asset]


@dataclass(frozen=True, eq=False)
class ItemScene:
    """A STAC item as a scene; it is not looked at before it is opened.

    Attributes:
        path: the file it stands in.
        content: the item.
    """

    path: Path
    content: Any

    def item(self) -> Item:
        """The item.

        Raises:
            RasterError: it is none.
            UnsafeError: its id would be no name of a folder.
        """
        try:
            item = Item.model_validate(self.content)
        except ValidationError as error:
            first = error.errors()[0]
            got = f"{'.'.join(map(str, first['loc']))}: {complaint(first)}"
            raise RasterError("holds what is no STAC item", where=self.path, got=got) from error
        if not re.fullmatch(r"(?!\.+$)[A-Za-z0-9._-]{1,128}", item.id):
            raise UnsafeError(
                "the id of an item is no name for a folder",
                where=self.path,
                got=repr(item.id),
                wanted="letters, digits, '.', '_' and '-'",
            )
        return item

    def hrefs(self, item: Item, bands: Sequence[str]) -> dict[str, str]:
        """Where the bands of the scene are, by name.

        Assets are asked for by key, or by the name or common name of their only band. When
        ``bands`` names none of them, all that hold data are the scene.

        Raises:
            RasterError: the item has no data.
            ConfigError: an asset was asked for that it does not have, or has twice.
        """
        rasters = {key: asset for key, asset in item.assets.items() if asset.is_raster}
        found = {band: _matches(rasters, band) for band in bands}
        data = {key: asset.href for key, asset in rasters.items() if asset.is_data}
        if not any(found.values()) and data:
            return data
        wrong = [band for band, keys in found.items() if len(keys) != 1]
        if wrong or not found:
            kind = ConfigError if wrong else RasterError
            twice = [f"{band} is {' and '.join(found[band])}" for band in wrong if found[band]]
            raise kind(
                f"item {item.id} has no raster asset {' or '.join(wrong) or 'that holds data'}",
                where=self.path,
                got="; ".join(twice) or ", ".join(rasters) or "no raster assets",
                fix="name assets with --bands",
            )
        return {band: rasters[keys[0]].href for band, keys in found.items()}


def expand_path(text: str) -> Iterator[str | ItemScene]:
    """The scenes that a name stands for: those of a pattern, a list or a STAC file, or itself.

    Raises:
        RasterError: a pattern matches no file, or a list or a STAC file cannot be read.
    """
    path = Path(text)
    if NOT_LOCAL.match(text):
        yield text
    elif glob.has_magic(text) and not path.exists():
        yield from _matched(text)
    elif path.suffix.lower() == LIST:
        for line in _lines(path):
            yield from expand_path(line)
    elif path.suffix.lower() == STAC:
        yield from (ItemScene(path, content) for content in _items(path))
    else:
        yield text


def _matched(pattern: str) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise RasterError(
            "the pattern matches no file", where=pattern, got=f"current folder {Path.cwd()}"
        )
    return matches


def _lines(path: Path) -> list[str]:
    """The scenes of a list, relative to where the list is."""
    lines = [line.strip() for line in _text(path).splitlines()]
    named = [line for line in lines if line and not line.startswith("#")]
    if not named:
        raise RasterError("names no scene", where=path, wanted="a scene on each line")
    for line in named:
        if Path(line).suffix.lower() == LIST and not is_remote(line):
            raise RasterError("a list names no other list", where=path, got=line)
    return [line if NOT_LOCAL.match(line) else str(path.parent / line) for line in named]


def _items(path: Path) -> list[Any]:
    """The items of a STAC file, as they stand there; nothing they point at is looked at."""
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise RasterError("is no JSON", where=path, got=error) from error
    kind = content.get("type") if isinstance(content, Mapping) else None
    if kind == "Feature":
        return [content]
    features = content.get("features") if kind == "FeatureCollection" else None
    if not isinstance(features, list) or not features:
        raise RasterError(
            "holds no STAC items", where=path, got=kind, wanted="an Item or an ItemCollection"
        )
    return features


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RasterError("cannot be read", where=path, got=error.strerror) from error
    except UnicodeDecodeError as error:
        raise RasterError("is no UTF-8 text", where=path) from error


def _matches(assets: Mapping[str, Asset], band: str) -> list[str]:
    if band in assets:
        return [band]
    return [key for key, asset in assets.items() if band in asset.aliases]
