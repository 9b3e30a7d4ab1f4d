"""Names of the files in and around a map directory."""

from __future__ import annotations

CLASSES, CONFIDENCE, PROBABILITIES = "classes.tif", "confidence.tif", "probabilities.tif"
SCHEME, RECORD, FAILED = "classes.yaml", "run.json", "failed.json"
IMAGERY_VRT = "imagery.vrt"
PROJECT, LAYER_DEFINITION = "map.qgz", "map.qlr"
ITEM, COLLECTION, ISO_RECORD = "item.json", "collection.json", "metadata.xml"
PAGE, TILES = "report.html", "classes.pmtiles"
ACCURACY_REPORT = "report.json"
"""Output of `geoseg evaluate --json`, where a pipeline puts it."""
