"""A small catalog of one data set, and its documents."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

LABELS = b"labels of a village"


def collection(**changes: Any) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": "village",
        "description": "A village.",
        "license": "CC0-1.0",
        "geoseg:commercial_use": "yes",
        "geoseg:fetch": {"method": "manual", "how": "ask the mayor"},
        "extent": {
            "spatial": {"bbox": [[13.0, 48.0, 14.0, 49.0]]},
            "temporal": {"interval": [["2024-01-01T00:00:00Z", None]]},
        },
        "summaries": {"gsd": [0.5], "bands": [{"name": "red"}, {"name": "green"}]},
        "links": [
            {"rel": "root", "href": "../catalog.json"},
            {"rel": "item", "href": "./north.json"},
        ],
        **changes,
    }


def item(**changes: Any) -> dict[str, Any]:
    asset = {
        "href": "./labels.gpkg",
        "roles": ["labels"],
        "file:checksum": "1220" + hashlib.sha256(LABELS).hexdigest(),
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "north",
        "collection": "village",
        "geometry": {"type": "Point", "coordinates": [13.5, 48.5]},
        "bbox": [13.4, 48.4, 13.6, 48.6],
        "properties": {"datetime": "2024-05-31T10:00:00Z"},
        "links": [{"rel": "collection", "href": "./collection.json"}],
        "assets": {"labels": asset},
        **changes,
    }


def make_catalog(parent: Path) -> Path:
    """Write the catalog into a folder and return its root."""
    catalog = {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "mine",
        "description": "Mine.",
        "links": [{"rel": "child", "href": "./village/collection.json"}],
    }
    folder = parent / "data_catalog"
    (folder / "village").mkdir(parents=True)
    (folder / "catalog.json").write_text(json.dumps(catalog))
    (folder / "village" / "collection.json").write_text(json.dumps(collection()))
    (folder / "village" / "north.json").write_text(json.dumps(item()))
    (folder / "village" / "labels.gpkg").write_bytes(LABELS)
    return folder
