"""XML as bytes, whatever the names in it hold."""

from __future__ import annotations

from xml.etree.ElementTree import Element, indent, tostring

from geoseg.classes import NO_XML


def as_bytes(root: Element, head: str) -> bytes:
    r"""A document in UTF-8, with what XML cannot hold replaced.

    Args:
        root: its content.
        head: what stands before it.

    Example:
        >>> title = Element("title")
        >>> title.text = "a\x01 & b"
        >>> as_bytes(title, "")
        b'<title>a\xef\xbf\xbd &amp; b</title>\n'
    """
    indent(root, " ")
    text = NO_XML.sub("\N{REPLACEMENT CHARACTER}", tostring(root, encoding="unicode"))
    return f"{head}{text}\n".encode()
