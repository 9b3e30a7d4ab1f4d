"""One HTML page that shows a map: self-contained, without a server and without the net."""

from geoseg.report.page import page_of
from geoseg.report.subject import Subject

__all__ = ["Subject", "page_of"]
