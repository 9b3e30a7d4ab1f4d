"""The report page of a map: one self-contained HTML file that works offline."""

from geoseg.report.page import render_page
from geoseg.report.page_content import PageContent

__all__ = ["PageContent", "render_page"]
