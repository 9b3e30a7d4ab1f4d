"""Parsed report pages, and the accuracy report that some of them show."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from PIL import Image
from published import SCHEME, make_map

import geoseg
from geoseg.job import read_record
from geoseg.raster import FileSource
from geoseg.report import PageContent

REPORT: dict[str, Any] = {
    "miou": 0.75, "overall_accuracy": 0.9, "n_pixels": 1000,
    "classes": [
        {"id": i, "name": name, "iou": 0.8 - i / 10, "f1": 0.88, "precision": 0.9, "recall": None,
         "support": 500}
        for i, name in enumerate(SCHEME.names)
    ],
    "confusion": [[450, 50], [50, 450]],
    "majority": {"name": SCHEME.names[0], "miou": 0.25, "overall_accuracy": 0.5},
    "scenes": [{"map": "somewhere/map"}],
    "warnings": ["seven blocks are few"],
}  # fmt: skip


@dataclass
class Page(HTMLParser):
    """Tags with their attributes, and the text in scripts and outside of them."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    text: str = ""
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""
        self.text += " "
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif not self.inside:
            self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def by_id(self, name: str) -> dict[str, str | None]:
        (found,) = [attributes for _, attributes in self.tags if attributes.get("id") == name]
        return found


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def words(page: Page) -> str:
    return " ".join(page.text.split())


def picture_of(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def publish_evaluated(area: Path) -> Path:
    """Make a map in the folder, publish it with an accuracy report above it, and return it."""
    land_map = make_map(area)
    (land_map.parent / "report.json").write_text(json.dumps(REPORT))
    geoseg.publish(land_map, options=geoseg.PublishOptions(title="Lakes & <woods>"))
    return land_map


def subject_of(made: Path) -> PageContent:
    return PageContent(
        "T", SCHEME, FileSource(made / "classes.tif"), record=read_record(made / "run.json")
    )
