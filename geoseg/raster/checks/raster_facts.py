"""What a raster file states about itself, read without decoding a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

from geoseg.raster.block import unique_names
from geoseg.raster.checks.georeference import Georeference
from geoseg.raster.file_source import band_name

type Validity = Literal["alpha", "mask", "nodata", "none"]


@dataclass(frozen=True)
class RasterFacts:
    """The facts of a raster file, all bands included.

    Attributes:
        width: number of columns.
        height: number of rows.
        dtypes: dtype of each band.
        nodata: the nodata value of the first band, which may be NaN; None if there is none.
        validity: what marks invalid pixels: an alpha band, a mask, the nodata value, or nothing.
        band_names: description or colour of each band, or "b1", "b2" ...; numbered if repeated.
        colors: colour interpretation of each band.
        block: (height, width) of the stored blocks.
        overviews: decimation factors of the overviews, such as 2, 4, 8.
        compression: GDAL's name of it in lower case; None if there is none.
        georeference: CRS, geotransform and sidecars.
    """

    width: int
    height: int
    dtypes: tuple[str, ...]
    nodata: float | None
    validity: Validity
    band_names: tuple[str, ...]
    colors: tuple[str, ...]
    block: tuple[int, int]
    overviews: tuple[int, ...]
    compression: str | None
    georeference: Georeference

    @classmethod
    def of(cls, dataset: DatasetReader) -> RasterFacts:
        """Read them from an open file."""
        return cls(
            width=dataset.width,
            height=dataset.height,
            dtypes=tuple(dataset.dtypes),
            nodata=dataset.nodata,
            validity=_validity(dataset),
            band_names=unique_names([_band_name(dataset, index) for index in dataset.indexes]),
            colors=tuple(each.name for each in dataset.colorinterp),
            block=dataset.block_shapes[0],
            overviews=tuple(dataset.overviews(1)),
            compression=dataset.compression.name.lower() if dataset.compression else None,
            georeference=Georeference.of(dataset),
        )


def _validity(dataset: DatasetReader) -> Validity:
    """In the order in which they outrank each other in GDAL's mask flags."""
    flags = {flag for each in dataset.mask_flag_enums for flag in each}
    if MaskFlags.alpha in flags:
        return "alpha"
    if MaskFlags.per_dataset in flags:
        return "mask"
    return "nodata" if MaskFlags.nodata in flags else "none"


def _band_name(dataset: DatasetReader, index: int) -> str:
    """As a source names its bands, which never include alpha."""
    unnamed_alpha = (
        dataset.colorinterp[index - 1].name == "alpha" and not dataset.descriptions[index - 1]
    )
    return "alpha" if unnamed_alpha else band_name(dataset, index)
