"""Elements of ISO 19139 by their names with prefix."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import Element

SPACES = {
    "xmlns:gmd": "http://www.isotc211.org/2005/gmd",
    "xmlns:gco": "http://www.isotc211.org/2005/gco",
    "xmlns:gml": "http://www.opengis.net/gml/3.2",
}
"""What the prefixes stand for; belongs to the root element."""
CODES = "http://standards.iso.org/iso/19139/resources/gmxCodelists.xml"
UNKNOWN = {"gco:nilReason": "unknown"}
"""Of an element that has to be there, and of which nothing is known."""


def node(name: str, *inside: Element | str, **attributes: str) -> Element:
    """An element with its text or its children."""
    made = Element(name, attributes)
    for each in inside:
        if isinstance(each, str):
            made.text = each
        else:
            made.append(each)
    return made


def text(name: str, content: str) -> Element:
    """A text."""
    return node(name, node("gco:CharacterString", content))


def coded(name: str, kind: str, value: str) -> Element:
    """A value of one of ISO's code lists."""
    listed = f"{CODES}#{kind}"
    return node(name, node(f"gmd:{kind}", value, codeList=listed, codeListValue=value))


def day(moment: datetime) -> str:
    """A date in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def second(moment: datetime) -> str:
    """A date and time in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
