"""Pretrained weights as a table of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.models.pretrained.weights import Weights


def table(found: Sequence[Weights]) -> str:
    """Lines of aligned columns: name, use, backbone, bands, sensor, pixel size, licence."""
    rows: list[tuple[str, ...]] = [
        (
            each.name, each.use, each.backbone, str(len(each.bands) or "any"), each.sensor or "-",
            f"{each.gsd_m:g} m" if each.gsd_m else "-", each.licence or "not stated",
        )
        for each in found
    ]  # fmt: skip
    rows.insert(0, ("name", "use", "backbone", "bands", "sensor", "pixel", "licence"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
