"""The classes of a data set as a class scheme: its own, or those of another data set."""

from __future__ import annotations

from collections import defaultdict

from geoseg.catalog.entries import CatalogClass, Entry
from geoseg.classes import ClassScheme
from geoseg.errors import CatalogError

COLOURS = ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#666666")
"""ColorBrewer's Dark2, for classes whose entry gives no colour."""


def scheme_of(entry: Entry, like: Entry | None = None) -> ClassScheme:
    """The class scheme for the label rasters of a data set.

    Args:
        entry: the data set; its class values become label codes.
        like: another data set, whose classes, order and colours are used instead; values without a
            counterpart there are ignored.

    Returns:
        The scheme; values that mean "no label" are ignored.

    Raises:
        CatalogError: one of the two has no classes, or the entry has no remap to the other.

    Example:
        >>> from geoseg.catalog import default_root, show
        >>> scheme = scheme_of(show(default_root(), "loveda"))
        >>> scheme.names[:3], scheme.classes[3].values, scheme.ignore
        (('background', 'building', 'road'), (4,), (0,))
    """
    for each in (entry, *((like,) if like else ())):
        if not each.classes:
            raise CatalogError("has no classes", where=each.id)
    table = _table(entry, like)
    codes = defaultdict(list)
    for value, wanted in table.items():
        codes[wanted].append(value)
    classes = [each for each in (like or entry).classes if each.value in codes]
    lost = [each.value for each in entry.classes if each.value not in table]
    return ClassScheme.model_validate(
        {
            "classes": [
                {"name": _name(each), "color": _colour(each, i), "values": codes[each.value]}
                for i, each in enumerate(classes)
            ],
            "ignore": lost,
        }
    )


def _table(entry: Entry, like: Entry | None) -> dict[int, int]:
    """The class of each value."""
    if like is None:
        return {each.value: each.value for each in entry.classes if not each.nodata}
    if like.id not in entry.remap:
        raise CatalogError(
            f"has no remap to the classes of {like.id}",
            where=entry.id,
            wanted=f"one of {', '.join(entry.remap)}" if entry.remap else None,
            fix="write the label codes into classes.yaml by hand",
        )
    return entry.remap[like.id]


def _name(each: CatalogClass) -> str:
    return each.title or each.name


def _colour(each: CatalogClass, index: int) -> str:
    return f"#{each.color_hint}" if each.color_hint else COLOURS[index % len(COLOURS)]
