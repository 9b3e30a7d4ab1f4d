"""ISO 19139: identification of a map, with place, time, contact and licence."""

from __future__ import annotations

from datetime import datetime
from xml.etree.ElementTree import Element

from geoseg import ground
from geoseg.maps.contents import Contents
from geoseg.metadata.iso_elements import UNKNOWN, coded, node, second, text
from geoseg.metadata.record_fields import (
    acquired_at,
    bbox,
    finished_at,
    footprint,
    lineage,
    record_id,
)


def identification(contents: Contents) -> Element:
    """Title, abstract, classes, licence, resolution, place and time of a map.

    Raises:
        GridError: the map's CRS is not tied to the ground.
    """
    names = contents.scheme.names
    made = finished_at(contents)
    abstract = f"A map of {', '.join(names)}. {lineage(contents)}"
    credit = contents.description.credits
    resolution = node("gco:Distance", f"{ground.gsd_m(contents.geobox):.6g}", uom="m")
    return node(
        "gmd:MD_DataIdentification",
        node("gmd:citation", _citation(contents.title, made, record_id(contents))),
        text("gmd:abstract", abstract),
        *([text("gmd:credit", credit)] if credit else []),
        coded("gmd:status", "MD_ProgressCode", "completed"),
        node("gmd:pointOfContact", party(contents)),
        node(
            "gmd:descriptiveKeywords",
            node(
                "gmd:MD_Keywords",
                *(text("gmd:keyword", name) for name in names),
                coded("gmd:type", "MD_KeywordTypeCode", "theme"),
            ),
        ),
        node("gmd:resourceConstraints", _licence(contents.description.license)),
        coded("gmd:spatialRepresentationType", "MD_SpatialRepresentationTypeCode", "grid"),
        node(
            "gmd:spatialResolution",
            node("gmd:MD_Resolution", node("gmd:distance", resolution)),
        ),
        node("gmd:language", **UNKNOWN),
        coded("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        node("gmd:topicCategory", node("gmd:MD_TopicCategoryCode", "imageryBaseMapsEarthCover")),
        node("gmd:extent", _extent(contents)),
    )


def _citation(title: str, moment: datetime, code: str) -> Element:
    return node(
        "gmd:CI_Citation",
        text("gmd:title", title),
        node(
            "gmd:date",
            node(
                "gmd:CI_Date",
                node("gmd:date", node("gco:DateTime", second(moment))),
                coded("gmd:dateType", "CI_DateTypeCode", "creation"),
            ),
        ),
        node("gmd:identifier", node("gmd:MD_Identifier", text("gmd:code", code))),
    )


def _licence(licence: str) -> Element:
    return node(
        "gmd:MD_LegalConstraints",
        coded("gmd:useConstraints", "MD_RestrictionCode", "license"),
        text("gmd:otherConstraints", licence),
    )


def _extent(contents: Contents) -> Element:
    """Bounding box in degrees, and acquisition time of the scene."""
    west, south, east, north = (repr(side) for side in bbox(footprint(contents)))
    moment = second(acquired_at(contents))
    sides = (
        ("gmd:westBoundLongitude", west), ("gmd:eastBoundLongitude", east),
        ("gmd:southBoundLatitude", south), ("gmd:northBoundLatitude", north),
    )  # fmt: skip
    period = node(
        "gml:TimePeriod",
        node("gml:beginPosition", moment),
        node("gml:endPosition", moment),
    )
    period.set("gml:id", "taken")
    return node(
        "gmd:EX_Extent",
        node(
            "gmd:geographicElement",
            node(
                "gmd:EX_GeographicBoundingBox",
                *(node(name, node("gco:Decimal", side)) for name, side in sides),
            ),
        ),
        node(
            "gmd:temporalElement",
            node("gmd:EX_TemporalExtent", node("gmd:extent", period)),
        ),
    )


def party(contents: Contents) -> Element:
    """The point of contact; unknown without credits."""
    organisation = contents.description.credits
    name = "gmd:organisationName"
    return node(
        "gmd:CI_ResponsibleParty",
        text(name, organisation) if organisation else node(name, **UNKNOWN),
        coded("gmd:role", "CI_RoleCode", "pointOfContact"),
    )
