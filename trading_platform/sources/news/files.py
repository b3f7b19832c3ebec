"""Files of news that a user owns: JSON lines, a JSON array, a response of NewsAPI, or CSV with a header."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.news.articles import Document, Item, RejectedItem
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.texts import shown
from trading_platform.sources.news.items import make_item
from trading_platform.sources.news.newsapi import document_of
from trading_platform.sources.strict_json import StrictDecoder

LARGEST_FILE = 512 * 2**20
"""Bytes; about a million articles with their summaries."""

_NAMES = {
    "title": ("title", "headline"),
    "guid": ("guid", "id", "external_id"),
    "url": ("url", "link"),
    "summary": ("summary", "description", "abstract"),
    "content": ("content", "body", "text"),
    "author": ("author", "byline"),
    "language": ("language", "lang"),
    "published_at": ("published_at", "publishedat", "published", "pubdate", "datetime", "date", "time"),
    "first_seen_at": ("first_seen_at", "received_at", "retrieved_at"),
}
"""The columns or keys of each field, in small letters; the first that a file has counts."""

_LONGEST_FIELD = 1_000_000


def read_news_file(path: Path) -> Document:
    """The articles of a file, in its order.

    Raises:
        InvalidRequest: if there is no such file, or none of its forms is recognised.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise _unreadable(path, f"{size:,} bytes", f"at most {LARGEST_FILE:,} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__, "a file that can be read") from None
    except UnicodeDecodeError:
        raise _unreadable(path, "bytes that are not UTF-8", "text in UTF-8") from None
    return _document(path, text)


def _document(path: Path, text: str) -> Document:
    beginning = text.lstrip()[:1]
    if beginning == "[":
        return _of_records(enumerate(_json(path, text), 1))
    if beginning == "{":
        return _json_lines(path, text)
    if path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        return _csv(path, text)
    raise _unreadable(path, f"a file that begins with {shown(text[:40])}", "JSON lines, a JSON array or CSV")


def _json(path: Path, text: str) -> list[object]:
    try:
        value = json.loads(text, cls=StrictDecoder)
    except ValueError as error:
        raise _unreadable(path, str(error)[:200], "JSON") from None
    return value if isinstance(value, list) else [value]


def _json_lines(path: Path, text: str) -> Document:
    try:
        whole = json.loads(text, cls=StrictDecoder)
    except ValueError:
        return _of_records(_lines(text))
    if isinstance(whole, Mapping) and "articles" in whole:
        return document_of(whole)
    return _of_records(enumerate(_json(path, text), 1))


def _lines(text: str) -> Iterable[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line, cls=StrictDecoder)
        except ValueError as error:
            yield number, RejectedItem(number, Reason.UNSUPPORTED.value, f"expected JSON: {error}"[:200], shown(line))


def _csv(path: Path, text: str) -> Document:
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        dialect = csv.Sniffer().sniff(text[:10_000].partition("\n")[0], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    rows = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect)
    names = {name.strip().lower() for name in rows.fieldnames or ()}
    if not names & {*_NAMES["title"], *_NAMES["summary"]}:
        raise _unreadable(path, f"columns {shown(sorted(names))}", "a header with at least a column title")
    try:
        return _of_records(enumerate(rows, 1))
    except csv.Error as error:
        raise _unreadable(path, str(error), "CSV") from None


def _of_records(records: Iterable[tuple[int, object]]) -> Document:
    items: list[Item] = []
    rejected: list[RejectedItem] = []
    for position, record in records:
        made = _item(position, record)
        if isinstance(made, Item):
            items.append(made)
        else:
            rejected.append(made)
    return Document(tuple(items), tuple(rejected))


def _item(position: int, record: object) -> Item | RejectedItem:
    if isinstance(record, RejectedItem):
        return record
    if not isinstance(record, Mapping):
        return RejectedItem(position, Reason.UNSUPPORTED.value, "expected an object", shown(record))
    lower = {str(name).strip().lower(): value for name, value in record.items()}
    fields = {
        field: next((lower[name] for name in names if lower.get(name) not in {None, ""}), None)
        for field, names in _NAMES.items()
    }
    return make_item(position, {name: str(v) if name == "guid" and v is not None else v for name, v in fields.items()})


def _unreadable(path: Path, received: str, expected: str) -> InvalidRequest:
    return InvalidRequest(
        f"{path.name} cannot be read as news.",
        expected=expected,
        received=received,
        remedy="docs/news.md has the columns and an example",
    )
