"""QGIS projects, layer definitions and print layouts, written without QGIS."""
