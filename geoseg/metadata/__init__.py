"""Metadata records of a map: STAC items and ISO 19139 documents."""
