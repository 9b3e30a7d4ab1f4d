"""The page: pictures, polygons and figures put into its template."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from geoseg.report import number_text
from geoseg.report.accuracy_tables import accuracy_of
from geoseg.report.class_areas import areas_of
from geoseg.report.drawn_polygons import Drawn, draw
from geoseg.report.maplibre import maplibre
from geoseg.report.mercator_frame import Frame, frame_of
from geoseg.report.pictures import MOST_PX, Picture, class_ids, class_picture, scene_picture
from geoseg.report.provenance import facts_of, left_out, provenance_of
from geoseg.report.subject import Subject

if TYPE_CHECKING:
    from jinja2 import Environment

BEYOND = "the map reaches beyond 85 degrees north or south, where web maps end: that is not drawn"
POLE = "the map lies around a pole, or nowhere on the Earth: web maps cannot show it"


@dataclass(frozen=True)
class Drawing:
    """What the map of the page shows.

    Attributes:
        frame: where.
        classes: the class raster.
        scene: the scene.
        polygons: the polygons.
    """

    frame: Frame
    classes: Picture
    scene: Picture | None
    polygons: Drawn | None


def page_of(subject: Subject) -> str:
    """The page as HTML.

    Nothing on it is loaded from anywhere, and a content security policy sees to that; only a
    page with a server asks it, how far a run is or for tiles.

    Args:
        subject: what to show.

    Raises:
        RasterError: the map or the scene cannot be read.
        VectorError: the polygons cannot be read.
    """
    drawing = draw_map(subject)
    areas = areas_of(subject)
    record = subject.record
    library = maplibre()
    script = _resource("page.js")
    styles = [library.style if library else "", _resource("page.css")]
    template = _environment().get_template("page.html")
    return template.render(
        subject=subject,
        drawing=drawing,
        data=_data(subject, drawing),
        areas=areas,
        accuracy=accuracy_of(subject.accuracy) if subject.accuracy else None,
        provenance=provenance_of(record) if record else None,
        facts=facts_of(subject),
        warnings=[*subject.warnings, *_drawn_less(subject, drawing), *left_out(record, areas)],
        library=library,
        scripts=[*([library.script] if library else []), script],
        styles=styles,
        policy=_policy([library.script if library else "", script], styles, _asks(subject)),
    )


def draw_map(subject: Subject) -> Drawing | None:
    """The pictures and polygons of a map; None where web maps cannot show it, or there is none."""
    source = subject.classes
    frame = frame_of(source.geobox, MOST_PX) if source is not None else None
    if source is None or frame is None:
        return None
    return Drawing(
        frame,
        class_picture(class_ids(source, frame), subject.scheme),
        scene_picture(subject.imagery, frame) if subject.imagery else None,
        draw(subject.polygons, frame) if subject.polygons else None,
    )


def _drawn_less(subject: Subject, drawing: Drawing | None) -> list[str]:
    """What the map of the page does not show."""
    if drawing is None:
        return [] if subject.classes is None else [_sentence(POLE)]
    found = [BEYOND] if drawing.frame.cut else []
    if drawing.frame.shrunk > 1 and subject.tiles is None:
        height, width = drawing.frame.geobox.shape
        found.append(
            f"the pictures of this page are {width} x {height} px, {drawing.frame.shrunk:.1f} times"
            " coarser than the map: the files have every pixel, and geoseg view shows them after"
            " geoseg publish --tiles"
        )
    polygons = drawing.polygons
    if polygons and polygons.count < polygons.of:
        found.append(
            f"{number_text.whole(polygons.count)} of {number_text.whole(polygons.of)} polygons are"
            " drawn here, "
            "the largest: the file has all"
        )
    return [_sentence(each) for each in found]


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."


def _data(subject: Subject, drawing: Drawing | None) -> dict[str, Any]:
    """What the page's script has to know."""
    classes = [{"name": each.name, "color": each.color[:7]} for each in subject.scheme.classes]
    frame = drawing.frame if drawing else None
    return {
        "classes": classes,
        "corners": frame.corners() if frame else None,
        "live": subject.live,
        "tiles": subject.tiles,
        "confidence": bool(subject.polygons and "confidence" in subject.polygons.fields),
    }


def _asks(subject: Subject) -> bool:
    """Whether the page asks its server for anything."""
    return bool(subject.live or subject.tiles)


def _policy(scripts: list[str], styles: list[str], asks: bool) -> str:
    """Nothing but what stands in the page itself, by its hash."""
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(map(_digest, filter(None, scripts))),
        "style-src": " ".join(map(_digest, filter(None, styles))),
        "img-src": "data: blob:",
        "worker-src": "blob:",
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
