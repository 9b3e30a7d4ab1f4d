"""XML documents as bytes, whatever the names in them hold."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, indent, tostring

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, not even escaped (XML 1.0, section 2.2)."""


def as_bytes(root: Element, head: str) -> bytes:
    r"""Serialize a document as indented UTF-8.

    Characters that XML forbids become U+FFFD: ElementTree would write them as they are, and
    parsers would then reject the whole file.

    Args:
        root: the root element; indented in place.
        head: text before it, such as the XML declaration or a DOCTYPE.

    Example:
        >>> title = Element("title")
        >>> title.text = "a\x01 & b"
        >>> as_bytes(title, "")
        b'<title>a\xef\xbf\xbd &amp; b</title>\n'
    """
    indent(root, " ")
    text = NO_XML.sub("\N{REPLACEMENT CHARACTER}", tostring(root, encoding="unicode"))
    return f"{head}{text}\n".encode()
