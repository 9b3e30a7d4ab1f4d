"""The data catalog: a static STAC catalog of data sets, read without a network."""

from geoseg.catalog.check import validate
from geoseg.catalog.entry import Entry, list_entries, show
from geoseg.catalog.read import CatalogProblem, default_root

__all__ = ["CatalogProblem", "Entry", "default_root", "list_entries", "show", "validate"]
