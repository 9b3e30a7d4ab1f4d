"""Checks that scenes go together, and that the labels meet them, before any chip is cut."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from geoseg import ground
from geoseg.errors import ApartError, ChipsError
from geoseg.labels import LabelLayer, open_labels
from geoseg.models.saved.spec import GSD_TOLERANCE
from geoseg.raster import RasterSource

logger = logging.getLogger(__name__)


def check_same_bands(sources: Sequence[RasterSource]) -> None:
    """Check that all scenes have the pixel size, bands and dtype of the first one.

    Raises:
        ChipsError: a scene differs.
    """
    first = sources[0]
    wanted = [band.name for band in first.bands]
    for source in sources[1:]:
        sizes = ground.gsd_m(source.geobox), ground.gsd_m(first.geobox)
        if max(sizes) / min(sizes) > 1 + GSD_TOLERANCE:
            raise ChipsError(
                f"has pixels of another size than {first.name}",
                where=source.name,
                got=f"{sizes[0]:.3g} m",
                wanted=f"{sizes[1]:.3g} m",
                fix="bring the scenes to one pixel size, or train a model for each",
            )
        got = [band.name for band in source.bands]
        if got != wanted or source.dtype != first.dtype:
            raise ChipsError(
                f"differs from {first.name}",
                where=source.name,
                got=f"{', '.join(got)} ({source.dtype})",
                wanted=f"{', '.join(wanted)} ({first.dtype})",
                fix="choose the common bands with --bands",
            )


def check_labels_meet(sources: Sequence[RasterSource], layer: LabelLayer) -> None:
    """Check that labels meet at least one scene; scenes without any are left out.

    Raises:
        ApartError: the labels meet no scene.
        InputError: they cannot be read.
    """
    apart: list[ApartError] = []
    for source in sources:
        try:
            open_labels(layer, source.geobox)
        except ApartError as error:
            apart.append(error)
    if len(apart) == len(sources):
        raise apart[0]
    if apart:
        logger.info("%d of %d scenes have no labels", len(apart), len(sources))
