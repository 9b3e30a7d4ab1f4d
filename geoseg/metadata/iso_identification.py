"""ISO 19139: what a map is, where and when, and who may use it."""

from __future__ import annotations

from datetime import datetime
from xml.etree.ElementTree import Element

from geoseg import ground
from geoseg.maps.contents import Contents
from geoseg.metadata.facts import bbox, finished, footprint, lineage, name_of, taken
from geoseg.metadata.iso_elements import UNKNOWN, coded, node, second, text


def identification(contents: Contents) -> Element:
    """Title, abstract, classes, licence, resolution, place and time of a map."""
    names = contents.scheme.names
    made = finished(contents)
    abstract = f"A map of {', '.join(names)}. {lineage(contents)}"
    credit = contents.options.credits
    resolution = node("gco:Distance", f"{ground.gsd_m(contents.geobox):.6g}", uom="m")
    return node(
        "gmd:MD_DataIdentification",
        node("gmd:citation", _citation(contents.title, made, name_of(contents))),
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
        node("gmd:resourceConstraints", _licence(contents.options.license)),
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
    """Where in degrees, and when the scene was taken."""
    west, south, east, north = (repr(side) for side in bbox(footprint(contents)))
    moment = second(taken(contents))
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
    """Who to ask, as far as the options say."""
    who = contents.options.credits
    name = "gmd:organisationName"
    return node(
        "gmd:CI_ResponsibleParty",
        text(name, who) if who else node(name, **UNKNOWN),
        coded("gmd:role", "CI_RoleCode", "pointOfContact"),
    )
