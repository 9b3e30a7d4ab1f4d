"""MapLibre GL JS, from the Python package that bundles it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MapLibre:
    """The library that draws the map in the browser.

    Attributes:
        version: of MapLibre GL JS.
        script: JavaScript.
        style: CSS, icons included.
    """

    version: str
    script: str
    style: str


def maplibre() -> MapLibre | None:
    """Read MapLibre; None, and a line in the log, where the package is not installed."""
    found = find_spec("maplibre")  # importing it would configure logging and load Shiny
    if found is None or found.origin is None:
        logger.info("pages show pictures instead of a map: the package maplibre is not installed")
        return None
    folder = Path(found.origin).parent / "srcjs"
    script = (folder / "maplibre-gl.js").read_text(encoding="utf-8")
    style = (folder / "maplibre-gl.css").read_text(encoding="utf-8")
    version = re.search(r"maplibre-gl-js/blob/v([\d.]+)/", script[:1000])
    script = re.sub(r"//# sourceMappingURL=\S+", "", script)  # the file is not in the package
    return MapLibre(version[1] if version else "", script, style)
