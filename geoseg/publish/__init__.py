"""What people open: an overview picture of a whole run."""

from geoseg.publish.overview import write_overview

__all__ = ["write_overview"]
