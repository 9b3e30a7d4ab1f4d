"""Checks that find everything about a polygon file that labels should not have."""

from geoseg.vector.checks.vector_inspection import VectorInspection, inspect_vector, problems_of

__all__ = ["VectorInspection", "inspect_vector", "problems_of"]
