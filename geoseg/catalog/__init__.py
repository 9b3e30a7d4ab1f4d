"""The data catalog: a static STAC catalog of data sets; reading it works offline."""

from geoseg.catalog.class_tables import scheme_of
from geoseg.catalog.entries import Entry, list_entries, show
from geoseg.catalog.fetch import FetchOptions, fetch
from geoseg.catalog.tree import CatalogProblem, default_root
from geoseg.catalog.validation import validate

__all__ = [
    "CatalogProblem",
    "Entry",
    "FetchOptions",
    "default_root",
    "fetch",
    "list_entries",
    "scheme_of",
    "show",
    "validate",
]
