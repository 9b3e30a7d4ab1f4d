"""Entries of `geoseg info` as a few lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MARKS = {"error": "x", "warning": "!", "note": "-"}
MAX_NAMES = 12


def describe(entries: Sequence[Mapping[str, Any]]) -> str:
    """Entries as text: a few facts about each, then its problems and how to fix them.

    Example:
        >>> print(describe([{"path": "a.tif", "kind": "unknown", "problems": [
        ...     {"level": "error", "message": "is empty (0 bytes)", "fix": "fetch it again"}]}]))
        a.tif: unknown
          x is empty (0 bytes)
            -> fetch it again
    """
    return "\n".join(_printable(line) for each in entries for line in _lines(each))


def _lines(each: Mapping[str, Any]) -> Iterator[str]:
    driver = f" ({each['driver']})" if each.get("driver") else ""
    yield f"{each['path']}: {each['kind']}{driver}"
    for line in (_size(each), _place(each), _bands(each), _rest(each)):
        if line:
            yield f"  {line}"
    for fold in each.get("folds", []):
        yield f"  {fold['name']}: {'; '.join(_metrics(fold))}"
    for layer in each.get("layers", []):
        yield f"  {_layer(layer)}"
    for row in each["problems"]:
        yield f"  {MARKS[row['level']]} {row['message']}"
        if row["fix"]:
            yield f"    -> {row['fix']}"


def _size(each: Mapping[str, Any]) -> str:
    parts = []
    if each.get("width"):
        parts.append(f"{each['width']} x {each['height']} px")
    if each.get("bands"):
        parts.append(f"{each['bands']} band{'s' * (each['bands'] > 1)}")
    if each.get("dtype"):
        parts.append(each["dtype"])
    return ", ".join(parts)


def _place(each: Mapping[str, Any]) -> str:
    parts = []
    if each.get("gsd_m"):
        parts.append(f"{_number(each['gsd_m'])} m pixels")
    if each.get("crs"):
        name, code = each.get("crs_name"), each["crs"]
        parts.append(code if name is None else f"{code} {name}" if len(code) < 20 else name)
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _bands(each: Mapping[str, Any]) -> str:
    names = each.get("band_names") or []
    parts = [f"bands {_some(names)}"] if names else []
    if each.get("nodata") is not None or each.get("nodata_is_nan"):
        parts.append(f"nodata {'NaN' if each.get('nodata_is_nan') else each['nodata']}")
    if each.get("valid_share") is not None:
        parts.append(f"{each['valid_share']:.1%} valid")
    return "; ".join(parts)


def _rest(each: Mapping[str, Any]) -> str:
    parts = []
    if each.get("architecture"):
        parts.append(
            f"{each['architecture']}" + f" with {each['backbone']}" * bool(each["backbone"])
        )
    if each.get("chips"):
        parts.append("chips " + ", ".join(f"{name} {n}" for name, n in each["chips"].items()))
    if each.get("classes"):
        parts.append(f"classes {_some([_class(one) for one in each['classes']])}")
    return "; ".join([*parts, *_metrics(each)])


def _metrics(each: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} {'-' if value is None else format(value, '.3g')}"
        for name, value in (each.get("metrics") or {}).items()
    ]


def _class(one: Mapping[str, Any]) -> str:
    share = one.get("share")
    return str(one["name"]) if share is None else f"{one['name']} {share:.1%}"


def _layer(layer: Mapping[str, Any]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in layer["geometry_types"].items())
    text = f"layer {layer['name']}: {layer['features']} features ({kinds or 'not looked at'})"
    crs = f", {layer['crs']}" if layer["crs"] else ""
    columns = f"; columns {_some(layer['columns'])}" if layer["columns"] else ""
    return text + crs + columns


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" * (len(names) > MAX_NAMES)
    return ", ".join(names[:MAX_NAMES]) + more


def _printable(text: str) -> str:
    """Escape line breaks and terminal codes, which file names may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
