"""Items of a SpatioTemporal Asset Catalog (STAC) as scenes.

Only what is needed to find pixels is read: ids, and the links, types and bands of assets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from geoseg.errors import ConfigError, RasterError, UnsafeError
from geoseg.options import complaint
from geoseg.raster.drivers import SUFFIXES

RASTER_TYPE = re.compile(r"image/(tiff|jp2|jpx|png|jpeg|vnd\.stac\.geotiff)\b", re.IGNORECASE)
"""Media types of assets that geoseg reads, with or without parameters after them."""
SUPPLEMENTARY = {"thumbnail", "overview", "metadata"}
"""Roles of assets that accompany the data."""


class Asset(BaseModel):
    """A file of a STAC item."""

    href: str
    type: str | None = None
    roles: tuple[str, ...] | None = None
    bands: tuple[dict[str, Any], ...] | None = None
    eo_bands: tuple[dict[str, Any], ...] | None = Field(None, alias="eo:bands")

    @property
    def is_raster(self) -> bool:
        """Whether it is an image that holds data; previews do not."""
        if SUPPLEMENTARY & set(self.roles or ()):
            return False
        if self.type:
            return RASTER_TYPE.match(self.type) is not None
        return re.split(r"[?#]", self.href, maxsplit=1)[0].lower().endswith(SUFFIXES)

    @property
    def is_data(self) -> bool:
        """Whether it belongs to the scene when no asset is asked for by name."""
        return self.is_raster and (not self.roles or "data" in self.roles)

    @property
    def aliases(self) -> set[str]:
        """Names of its band, if it has a single one.

        STAC 1.1 has ``bands`` with ``eo:common_name``, STAC 1.0 ``eo:bands`` with ``common_name``.
        """
        bands = self.eo_bands or self.bands or ()
        keys = ("name", "common_name", "eo:common_name")
        return {str(bands[0][key]) for key in keys if key in bands[0]} if len(bands) == 1 else set()


class Item(BaseModel):
    """A STAC item."""

    id: str
    assets: dict[str, Asset]


@dataclass(frozen=True, eq=False)
class ItemScene:
    """A STAC item as a scene; its content is validated when it is opened.

    Attributes:
        path: the file that holds it.
        content: the item as parsed from JSON.
    """

    path: Path
    content: Any

    def item(self) -> Item:
        """The validated item.

        Raises:
            RasterError: it is no STAC item.
            UnsafeError: its id cannot be the name of an output folder.
        """
        try:
            item = Item.model_validate(self.content)
        except ValidationError as error:
            first = error.errors()[0]
            got = f"{'.'.join(map(str, first['loc']))}: {complaint(first)}"
            raise RasterError("holds no valid STAC item", where=self.path, got=got) from error
        if not re.fullmatch(r"(?!\.+$)[A-Za-z0-9._-]{1,128}", item.id):
            raise UnsafeError(
                "the id of an item cannot be the name of a folder",
                where=self.path,
                got=repr(item.id),
                wanted="letters, digits, '.', '_' and '-'",
            )
        return item

    def hrefs(self, item: Item, bands: Sequence[str]) -> dict[str, str]:
        """The links to the bands of the scene, by name.

        Assets are asked for by key, or by the name or common name of their only band. When
        ``bands`` names no asset, the scene is all assets that hold data.

        Raises:
            RasterError: the item has no data.
            ConfigError: an asset was asked for that the item does not have, or has twice.
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


def _matches(assets: Mapping[str, Asset], band: str) -> list[str]:
    """Keys of the assets that a band name stands for; a key outranks the names of bands."""
    if band in assets:
        return [band]
    return [key for key, asset in assets.items() if band in asset.aliases]
