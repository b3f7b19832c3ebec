"""What of a feed's XML is refused before it is parsed: entities, deep nesting, too many items, odd encodings.

feedparser resolves no external entity, but it expands those that a document declares, and its cost grows with depth
and number of elements. A document that no feed needs to be is therefore refused, with the reason.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE, lookup
from xml.parsers.expat import ExpatError, ParserCreate

from trading_platform.domain.errors import MalformedPayload

DEEPEST = 100
"""Levels of elements of a well-formed document; feeds have about ten, with XHTML in them some more."""

MOST_OPEN = 20_000
"""Elements of a document that is not well-formed that may be left open: naked HTML has `<br>` and `<p>`."""

MOST_ITEMS = 10_000
"""Items of a document; the feeds of newspapers have up to some hundreds."""

_ENCODINGS = re.compile(
    r"utf[-_]?(?:8(?:[-_]sig)?|16(?:[-_]?[bl]e)?|32(?:[-_]?[bl]e)?)|(?:us[-_]?)?ascii|latin[-_]?\d+|iso[-_]?8859[-_]\d+|"
    r"(?:cp|windows[-_]?)\d{3,4}|koi8[-_][rut]|big5(?:[-_]?hkscs)?|gb2312|gbk|gb18030|euc[-_](?:jp|kr|jis_2004|jisx0213)|"
    r"shift[-_]jis(?:_2004|x0213)?|mac[-_]\w+|tis[-_]620|johab|iso2022_(?:jp|kr)(?:_\w+)?",
    re.IGNORECASE,
)
"""Encodings that texts are published in. Others can hide markup: UTF-7 or Python's `unicode_escape` write `<` in
letters, EBCDIC in other bytes."""

_EBCDIC = re.compile(r"cp(?:037|1026|1140|273|424|500|875)", re.IGNORECASE)
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._\-]{1,40})", re.IGNORECASE)
_FIRST_ITEM = re.compile(r"<(?:\w+:)?(?:item|entry)\b", re.IGNORECASE)
_DECLARES = re.compile(r"<!ENTITY|<!DOCTYPE[^>]{0,2000}\[", re.IGNORECASE)
_TAG = re.compile(r"<(/?)[A-Za-z][^<>]*?(/?)>")
_MARKS = (
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)


def check_xml(body: bytes, charset: str | None = None) -> None:
    """Refuses a document that must not be parsed.

    Args:
        body: all of it.
        charset: the encoding that the response's Content-Type states.

    Raises:
        MalformedPayload: with the reason.
    """
    declared = _DECLARED.search(body.replace(b"\0", b"")[:1_000])
    names = [name for name in (charset, declared[1].decode("ascii") if declared else None) if name]
    for name in names:
        _check_encoding(name)
    seen = body.replace(b"\0", b"").decode("latin-1")  # ASCII is the same in all accepted encodings but for NULs
    first = _FIRST_ITEM.search(seen)
    if _DECLARES.search(seen, 0, first.start() if first else len(seen)):
        raise _refused("It declares entities or other parts of a document type.", "a feed without declarations")
    if sum(1 for _ in _FIRST_ITEM.finditer(seen)) > MOST_ITEMS:
        raise _refused("It has too many items.", f"at most {MOST_ITEMS:,} items")
    if not _check_well_formed(_decoded(body, names)):
        _check_open_elements(seen)


def _check_encoding(name: str) -> None:
    try:
        known = lookup(name).name
    except LookupError:
        return  # nothing decodes it; feedparser tries the usual ones instead
    if not _ENCODINGS.fullmatch(known) or _EBCDIC.fullmatch(known):
        raise _refused(f"Its encoding is {name!r}.", "an encoding in which texts are published, such as UTF-8")


def _decoded(body: bytes, names: list[str]) -> str:
    marks = [encoding for mark, encoding in _MARKS if body.startswith(mark)]
    nulls = ["utf-16-le"] if body[1:2] == b"\0" else ["utf-16-be"] if body[:1] == b"\0" else []
    for name in [*marks, *nulls, *names, "utf-8"]:
        try:
            return body.decode(name)
        except (LookupError, UnicodeError):
            continue
    return body.decode("latin-1")


def _check_well_formed(text: str) -> bool:
    """Refuses declarations and depth as far as the document is well-formed; returns whether all of it is."""
    parser = ParserCreate("utf-8")
    depth = 0

    def begin(_name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise _refused("Its elements are nested too deeply.", f"at most {DEEPEST} levels")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def document_type(_name: str, _system: object, _public: object, has_declarations: int) -> None:
        if has_declarations:
            raise _refused("It declares parts of a document type.", "a feed without declarations")

    def entity(*_declared: object) -> None:
        raise _refused("It declares entities.", "a feed without declarations")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = document_type, entity
    try:
        parser.Parse(text.lstrip("\ufeff \t\r\n").encode("utf-8", "replace"), True)
    except ExpatError:
        return False
    return True


def _check_open_elements(text: str) -> None:
    depth = 0
    for tag in _TAG.finditer(text):
        depth += 0 if tag[2] else -1 if tag[1] else 1
        depth = max(depth, 0)
        if depth > MOST_OPEN:
            raise _refused("Its elements are nested too deeply.", f"at most {MOST_OPEN:,} that are left open")


def _refused(received: str, expected: str) -> MalformedPayload:
    return MalformedPayload(
        "This document is not parsed.",
        expected=expected,
        received=received,
        remedy="open the address in a browser: if it is not the feed that you mean, correct or remove it",
    )
