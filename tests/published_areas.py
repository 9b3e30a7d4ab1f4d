"""A published map, its QGIS project and its STAC documents."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from published import make_map

import geoseg


def publish_area(area: Path) -> Path:
    """Make a map in the folder, publish it with labels, credits and a date, and return it."""
    land_map = make_map(area)
    options = geoseg.PublishOptions(
        title="Lakes & <woods>",
        labels=land_map.parent / "labels.gpkg",
        credits="A. Mapper",
        date="2024-05-31",
    )
    geoseg.publish(land_map, options=options)
    return land_map


def project_of(land_map: Path) -> ElementTree.Element:
    with zipfile.ZipFile(land_map / "map.qgz") as archive:
        assert archive.testzip() is None
        return ElementTree.fromstring(archive.read("map.qgs"))


def sources_of(root: ElementTree.Element) -> list[str]:
    return [node.text.split("|")[0] for node in root.iter("datasource") if node.text]


def stac_of(land_map: Path, name: str) -> Any:
    return json.loads((land_map / name).read_text(encoding="utf-8"))
