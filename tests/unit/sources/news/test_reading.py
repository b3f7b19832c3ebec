"""Feeds, responses of NewsAPI and files: real ones read or refused with a reason, hostile ones refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trading_platform.domain.errors import InvalidRequest, MalformedPayload, RateLimited, SourceError, SourceRejected
from trading_platform.sources.news.feeds import read_feed
from trading_platform.sources.news.files import read_news_file
from trading_platform.sources.news.languages import detect_language
from trading_platform.sources.news.newsapi import read_newsapi
from trading_platform.sources.news.xml_safety import DEEPEST, MOST_ITEMS

RSS = '<?xml version="1.0"{encoding}?>{prolog}<rss version="2.0"><channel>{items}</channel></rss>'


def rss(items: str = "<item><title>A</title></item>", prolog: str = "", encoding: str = "") -> str:
    return RSS.format(items=items, prolog=prolog, encoding=encoding)


def test_all_real_feeds_are_read_or_refused_with_a_reason(test_data: Path):
    read, refused = 0, {}
    for file in sorted((test_data / "feeds").glob("*/*.xml")):
        body = file.read_bytes()
        expected = re.search(rb"Expect: *(.*)", body)
        header = re.search(rb"Content-type: *(.*)", body)
        try:
            document = read_feed(body, url="https://feeds.example/feed", content_type=header and header[1].decode())
        except MalformedPayload as error:
            refused[file.name] = error
            continue
        assert all(one.reason and one.detail for one in document.rejected), file.name
        assert document.count >= (1 if expected and b"entries[0]" in expected[1] else 0), file.name
        if expected and expected[1].startswith(b"bozo"):
            assert document.warning, file.name
        read += 1
    assert sorted(refused) == ["encoding__bozo_invalid-bytes-with-bom.xml", "illformed__rss_empty_document.xml"]
    assert all(error.received for error in refused.values())
    assert read == 70


@pytest.mark.parametrize(
    ("name", "count"),
    [("rss090", 5), ("rss091", 6), ("rss092", 22), ("rss1", 2), ("rss2_with_atom", 3), ("rss2sample", 4)],
)
def test_counts_of_real_feeds(test_data: Path, name: str, count: int):
    document = read_feed((test_data / "feeds" / "rust_rss" / f"{name}.xml").read_bytes())
    assert (len(document.items), document.rejected) == (count, ())


def test_both_forms_of_newsapi(test_data: Path):
    folder = test_data / "newsapi"
    rebuilt = read_newsapi((folder / "newsapi_everything_rebuilt_shared.json").read_bytes())
    flattened = read_news_file(folder / "newsanchor_sample_response_shared.json")
    for document in (rebuilt, flattened):
        assert (len(document.items), document.rejected) == (89, ())
        assert all(item.published_at and item.url for item in document.items)
        assert not any("chars]" in (item.content or "") for item in rebuilt.items)
    assert [item.published_at for item in rebuilt.items] == [item.published_at for item in flattened.items]
    with pytest.raises(MalformedPayload, match="news import"):
        read_newsapi((folder / "newsanchor_sample_response_shared.json").read_bytes())


def test_errors_of_newsapi():
    with pytest.raises(RateLimited, match="100 requests"):
        read_newsapi(b'{"status": "error", "code": "rateLimited", "message": "Too many"}')
    with pytest.raises(SourceRejected, match="NEWSAPI_KEY"):
        read_newsapi(b'{"status": "error", "code": "apiKeyInvalid", "message": "No"}')
    for body in (b"", b"[]", b"{}", b'{"status": "ok"}', b"\xff", b'{"status": "ok", "articles": 3}', b"[" * 9_999):
        with pytest.raises(MalformedPayload):
            read_newsapi(body)
    mixed = read_newsapi(b'{"status": "ok", "articles": [1, {"title": "[Removed]"}, {"title": null}, {"title": "A"}]}')
    assert (len(mixed.items), [one.position for one in mixed.rejected]) == (1, [1, 2, 3])


BOMB = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "prolog",
    [
        BOMB,
        EXTERNAL,
        '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]>',
        f"<!-- <item> -->{BOMB}",
        f"<!-- <![CDATA[ -->{EXTERNAL}<!-- ]]> -->",
        f"<!DOCTYPE r PUBLIC '{'x' * 3_000}' 'y' [<!ENTITY a 'b'>]>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_declarations_are_refused_in_every_encoding(prolog: str, encoding: str):
    with pytest.raises(MalformedPayload, match="declares"):
        read_feed(rss("<item><title>&a;&x;</title></item>", prolog).encode(encoding))


@pytest.mark.parametrize(
    "name", ["utf-7", "unicode_escape", "raw_unicode_escape", "rot13", "base64", "cp037", "punycode"]
)
def test_encodings_that_hide_markup_are_refused(name: str):
    with pytest.raises(MalformedPayload, match="encoding"):
        read_feed(rss(encoding=f' encoding="{name}"').encode())
    with pytest.raises(MalformedPayload, match="encoding"):
        read_feed(rss().encode(), content_type=f"text/xml; charset={name}")


def test_what_costs_too_much_is_refused():
    deep = "<a>" * (DEEPEST * 500)
    for body in (
        rss(f"<item>{deep}</item>"),
        rss(f"<item>{deep}{'</a>' * DEEPEST * 500}</item>"),
        deep,
        f"<rss>&undefined;{deep}",
    ):
        with pytest.raises(MalformedPayload, match=r"nested|no feed"):
            read_feed(body.encode())
    with pytest.raises(MalformedPayload, match="too many items"):
        read_feed(rss("<item/>" * (MOST_ITEMS + 1)).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<html><body>Not found</body></html>",
        b"\x00\x01\x02",
        b'{"a": 1}',
        b"<!DOCTYPE html><p>",
        b"<rss",
        b"<?xml?>",
        b"\xff\xfe<\x00r",
        b"<foo/>",
    ],
)
def test_what_is_no_feed_is_refused(body: bytes):
    with pytest.raises(SourceError, match=r"no feed|not parsed"):
        read_feed(body)


def test_items_of_a_feed():
    body = rss(
        "<ttl>30</ttl><language>es-mx</language>"
        "<item><title>Sube &amp; baja</title><link>/a</link><guid>7</guid>"
        "<pubDate>Mon, 02 Mar 2026 13:00:00 +0100</pubDate>"
        "<description>&lt;p&gt;Todo&lt;/p&gt;</description></item>"
        "<item><title>B</title><link>javascript:alert(1)</link><pubDate>yesterday</pubDate></item>"
        "<item><category>x</category></item>"
        "<item><description>Only <![CDATA[<b>this</b>]]></description></item>"
    )
    document = read_feed(body.encode(), url="https://wire.example/feeds/all.xml")
    first, second, third = document.items
    assert (first.title, first.url, first.guid, first.summary) == ("Sube & baja", "https://wire.example/a", "7", "Todo")
    assert (first.language, first.published_at.isoformat()) == ("es-MX", "2026-03-02T12:00:00+00:00")
    assert (second.url, second.published_at, third.title) == (None, None, "Only this")
    assert [(one.position, one.reason) for one in document.rejected] == [(3, "missing_value")]
    assert document.time_to_live == 1800


def test_files_of_news(tmp_path: Path):
    lines = tmp_path / "news.jsonl"
    lines.write_text(
        '{"headline": "A", "date": "2024-01-02"}\n\nnot json\n{"title": ""}\n'
        '{"title": "B", "id": 7, "time": 1704153600000}\n'
    )
    document = read_news_file(lines)
    assert [(item.title, item.guid, item.published_at.date().isoformat()) for item in document.items] == [
        ("A", None, "2024-01-02"),
        ("B", "7", "2024-01-02"),
    ]
    assert [(one.position, one.reason) for one in document.rejected] == [(3, "unsupported"), (4, "missing_value")]
    table = tmp_path / "news.csv"
    table.write_text(
        'Title;Link;Published_At;First_Seen_At\n"X; Y";https://a.example/1;2024-01-02T10:00:00-05:00;2024-01-02T16:00Z\n'
    )
    (item,) = read_news_file(table).items
    assert (item.title, item.published_at.hour, item.first_seen_at.hour) == ("X; Y", 15, 16)
    for name, text in (("a.csv", "when,what\n1,2\n"), ("b.json", "[1, "), ("c.bin", "x")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidRequest, match=r"docs/news\.md"):
            read_news_file(tmp_path / name)
    with pytest.raises(InvalidRequest):
        read_news_file(tmp_path / "absent.csv")


@pytest.mark.exhaustive
def test_languages_are_detected():
    texts = {
        "en": ("Apple rises on earnings", "Oil slides on demand worries", "Fed leaves interest rates unchanged"),
        "es": ("El Banco de España sube los tipos", "Ford despide a 3.800 trabajadores", "Tesla sube un 5% en bolsa"),
        "fr": ("La BCE relève ses taux", "Airbus livre moins d'avions que prévu"),
        "de": ("Die EZB erhöht die Zinsen", "Siemens verkauft Anteile"),
        "it": ("La BCE alza i tassi", "Borsa di Milano in calo"),
        "pt": ("Petrobras reduz preços", "Bolsa sobe com otimismo"),
        None: ("", "BTC", "5%", "年 年 年 年 年 年 年 年 年 年 年 年 年", "Курс доллара вырос сегодня"),
    }
    assert {text: detect_language(text) for each in texts.values() for text in each} == {
        text: language for language, each in texts.items() for text in each
    }
