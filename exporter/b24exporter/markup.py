"""HTML as a tree, so that escaping is not a thing one can forget.

Laws: text enters the page only through :func:`el`; the serialiser escapes it, in contents and in attributes alike.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

Node = ET.Element
Content = Node | str | None


def el(tag: str, *content: Content, **attributes: str | float | None) -> Node:
    """One element. ``class_`` is class, ``aria_label`` is aria-label; an attribute or a child that is None is left out."""
    node = ET.Element(
        tag,
        {
            name.removesuffix("_").replace("_", "-"): str(value)
            for name, value in attributes.items()
            if value is not None
        },
    )
    for part in content:
        if part is None:
            continue
        if isinstance(part, str):
            if len(node):
                node[-1].tail = (node[-1].tail or "") + part
            else:
                node.text = (node.text or "") + part
        else:
            node.append(part)
    return node


def document(root: Node) -> bytes:
    """The page as bytes, with its doctype."""
    text: bytes = ET.tostring(root, encoding="utf-8", method="html")
    return b"<!doctype html>\n" + text
