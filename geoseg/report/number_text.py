"""Numbers, dates and options as text for people."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

NONE = "-"
KM2_FROM_M2 = 1e8
"""Total area from which areas are in square kilometres; below, they are in hectares."""


def percent(share: float | None) -> str:
    """Format a share in percent with one decimal; a dash for None and NaN.

    Example:
        >>> percent(0.9207), percent(None)
        ('92.1 %', '-')
    """
    return NONE if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def whole(count: int) -> str:
    """Format a count with thousands separators.

    Example:
        >>> whole(1234567)
        '1,234,567'
    """
    return f"{count:,}"


def area(square_metres: float, total: float) -> str:
    """Format an area in hectares or square kilometres; a dash for NaN.

    Args:
        square_metres: the area.
        total: total area of the table, which decides the unit of all its rows.

    Example:
        >>> area(12_345.0, 1e6), area(5e7, 2e8)
        ('1.23 ha', '50.00 km²')
    """
    if math.isnan(square_metres):
        return NONE
    divisor, unit = (1e6, "km²") if total >= KM2_FROM_M2 else (1e4, "ha")
    value = square_metres / divisor
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:,.2f} {unit}"


def size(count: int) -> str:
    """Format a number of bytes in decimal units.

    Example:
        >>> size(999), size(15_948_134)
        ('999 B', '15.9 MB')
    """
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def duration(seconds: float) -> str:
    """Format a duration in hours, minutes or seconds.

    Example:
        >>> duration(5.01), duration(754), duration(7380)
        ('5.0 s', '12 min 34 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def day(moment: str) -> str:
    """Format the day of an ISO 8601 time; other text stays as it is.

    Example:
        >>> day("2026-11-21T18:44:48+00:00"), day("last summer")
        ('21 November 2026', 'last summer')
    """
    try:
        found = datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError:
        return moment
    return f"{found.day} {found:%B %Y}"


def setting(value: Any) -> str:
    """Format the value of an option.

    Example:
        >>> setting(["blue", "red"]), setting(None), setting(True)
        ('blue, red', '-', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value)) or NONE
    return NONE if value is None or value == "" else str(value)
