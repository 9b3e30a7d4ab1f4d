"""The data catalog: a static STAC catalog of data sets, read without a network."""

from geoseg.catalog.check import validate
from geoseg.catalog.entry import Entry, list_entries, show
from geoseg.catalog.fetch import FetchOptions, fetch
from geoseg.catalog.read import CatalogProblem, default_root
from geoseg.catalog.scheme import scheme_of

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
