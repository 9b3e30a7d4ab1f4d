"""Building blocks of ISO 19139 documents."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import Element

SPACES = {
    "xmlns:gmd": "http://www.isotc211.org/2005/gmd",
    "xmlns:gco": "http://www.isotc211.org/2005/gco",
    "xmlns:gml": "http://www.opengis.net/gml/3.2",
}
"""Namespace declarations, for the root element."""
CODES = "http://standards.iso.org/iso/19139/resources/gmxCodelists.xml"
UNKNOWN = {"gco:nilReason": "unknown"}
"""Attribute of a mandatory element whose content is unknown."""


def node(name: str, *inside: Element | str, **attributes: str) -> Element:
    """An element with text or children.

    Args:
        name: name with prefix, such as "gmd:title".
        inside: its text, or its children in order.
        attributes: its attributes.
    """
    made = Element(name, attributes)
    for each in inside:
        if isinstance(each, str):
            made.text = each
        else:
            made.append(each)
    return made


def text(name: str, content: str) -> Element:
    """An element with a character string."""
    return node(name, node("gco:CharacterString", content))


def coded(name: str, kind: str, value: str) -> Element:
    """An element with a value from a code list of ISO 19139.

    Args:
        name: name with prefix.
        kind: name of the code list.
        value: the value.
    """
    listed = f"{CODES}#{kind}"
    return node(name, node(f"gmd:{kind}", value, codeList=listed, codeListValue=value))


def day(moment: datetime) -> str:
    """Format a date in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def second(moment: datetime) -> str:
    """Format a date and time in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
