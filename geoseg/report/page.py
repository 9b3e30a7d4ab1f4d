"""The page: pictures, polygons and tables rendered into the template."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from geoseg.report import number_text
from geoseg.report.accuracy_tables import accuracy_tables
from geoseg.report.class_areas import areas_of
from geoseg.report.drawn_polygons import DrawnPolygons, draw_polygons
from geoseg.report.maplibre import maplibre
from geoseg.report.mercator_frame import Frame, frame_of
from geoseg.report.page_content import PageContent
from geoseg.report.pictures import MOST_PX, Picture, class_ids, class_picture, scene_picture
from geoseg.report.provenance import facts_of, left_out, provenance_of

if TYPE_CHECKING:
    from jinja2 import Environment

BEYOND = "The map reaches beyond 85 degrees north or south, where web maps end: that is not drawn."
POLE = "The map lies around a pole, or nowhere on the Earth: web maps cannot show it."


@dataclass(frozen=True)
class MapDrawing:
    """Layers of the page's map.

    Attributes:
        frame: grid of the pictures.
        classes: the class raster.
        scene: the scene.
        polygons: the polygons.
    """

    frame: Frame
    classes: Picture
    scene: Picture | None
    polygons: DrawnPolygons | None


def render_page(content: PageContent) -> str:
    """Render the page as HTML.

    The page loads nothing from anywhere, which its content security policy enforces; only a page
    with a server asks that server for progress or tiles.

    Args:
        content: what to show.

    Raises:
        RasterError: the map or the scene cannot be read.
        VectorError: the polygons cannot be read.
    """
    drawing = draw_map(content)
    areas = areas_of(content)
    record = content.record
    library = maplibre()  # without it, the page shows a picture instead of a map
    script = _resource("page.js")
    styles = [library.style if library else "", _resource("page.css")]
    template = _environment().get_template("page.html")
    return template.render(
        content=content,
        drawing=drawing,
        data=_data(content, drawing),
        areas=areas,
        accuracy=accuracy_tables(content.accuracy) if content.accuracy else None,
        provenance=provenance_of(record) if record else None,
        facts=facts_of(content),
        warnings=[*content.warnings, *_not_drawn(content, drawing), *left_out(record, areas)],
        library=library,
        scripts=[*([library.script] if library else []), script],
        styles=styles,
        policy=_policy([library.script if library else "", script], styles, _asks(content)),
    )


def draw_map(content: PageContent) -> MapDrawing | None:
    """Draw the layers of a map; None without one, and where web maps cannot show it.

    Raises:
        RasterError: the map or the scene cannot be read.
        VectorError: the polygons cannot be read.
    """
    source = content.classes
    frame = frame_of(source.geobox, MOST_PX) if source is not None else None
    if source is None or frame is None:
        return None
    return MapDrawing(
        frame,
        class_picture(class_ids(source, frame), content.scheme),
        scene_picture(content.imagery, frame) if content.imagery else None,
        draw_polygons(content.polygons, frame) if content.polygons else None,
    )


def _not_drawn(content: PageContent, drawing: MapDrawing | None) -> list[str]:
    """Sentences on what the page's map leaves out."""
    if drawing is None:
        return [] if content.classes is None else [POLE]
    found = [BEYOND] if drawing.frame.cut else []
    if drawing.frame.shrunk > 1 and content.tiles is None:
        height, width = drawing.frame.geobox.shape
        found.append(
            f"The pictures of this page are {width} x {height} px, {drawing.frame.shrunk:.1f} times"
            " coarser than the map: the files hold every pixel, and geoseg view shows them after"
            " geoseg publish --tiles."
        )
    polygons = drawing.polygons
    if polygons and polygons.count < polygons.of:
        found.append(
            f"The largest {number_text.whole(polygons.count)} of "
            f"{number_text.whole(polygons.of)} polygons are drawn here; the file holds all."
        )
    return found


def _data(content: PageContent, drawing: MapDrawing | None) -> dict[str, Any]:
    """Input of the page's script, as JSON values."""
    classes = [{"name": each.name, "color": each.color[:7]} for each in content.scheme.classes]
    frame = drawing.frame if drawing else None
    return {
        "classes": classes,
        "corners": frame.corners() if frame else None,
        "live": content.live,
        "tiles": content.tiles,
        "confidence": bool(content.polygons and "confidence" in content.polygons.fields),
    }


def _asks(content: PageContent) -> bool:
    """Whether the page makes requests to its server."""
    return bool(content.live or content.tiles)


def _policy(scripts: list[str], styles: list[str], asks: bool) -> str:
    """A content security policy that allows only the page's own scripts and styles, by hash."""
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(map(_digest, filter(None, scripts))),
        "style-src": " ".join(map(_digest, filter(None, styles))),
        "img-src": "data: blob:",
        "worker-src": "blob:",  # MapLibre starts its worker from a blob of its own script
        "connect-src": "'self'" if asks else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{key} {value}" for key, value in allowed.items())


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("geoseg", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("percent", "whole", "area")
    environment.filters |= {name: getattr(number_text, name) for name in names} | {
        "unquote": unquote
    }
    environment.tests["nan"] = math.isnan
    return environment


def _resource(name: str) -> str:
    from importlib.resources import files

    return (files("geoseg.report") / name).read_text(encoding="utf-8")
