"""The command ``news`` as a person uses it: what docs/news.md shows, feeds, and errors."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Installation, installation
from news_server import feed, news_server

from trading_platform.embedded.stack import Endpoints

PAGE = Path(__file__).parents[3] / "docs" / "news.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


@pytest.mark.exhaustive
def test_what_the_page_shows_works(ours: Installation, tmp_path: Path):
    blocks = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    history = tmp_path / "history.jsonl"
    history.write_text(blocks["json"])
    for line in blocks["sh"].splitlines():
        words = [str(history) if word == "history.jsonl" else word for word in line.split()[1:]]
        found = ours.run(*words)
        assert found.code == 0, found.text
    assert "deliveries beat" in found.text
    assert "positive" in found.text
    assert "Weather" not in found.text
    program = f"{blocks['python']}\n    print(len(articles), scores['label'].to_list(), daily.height)\n"
    done = subprocess.run(
        [sys.executable, "-c", program], env=ours.environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1", "['positive',", "'negative']", "2"], done.stdout + done.stderr
    again = ours.run("news", "import", history, "--as-published", "--json").json
    assert again["files"]["history.jsonl"]["added"]["new"] == 0


@pytest.mark.exhaustive
def test_feeds(ours: Installation):
    with news_server() as server:
        server.serve("/good", feed("good"))
        server.serve("/page", b"<html>")
        assert ours.run("news", "feeds", "add", "good", server.url("/good")).code == 0
        refused = ours.run("news", "fetch", "--json")
        assert refused.code == 1
        assert "NEWS_ALLOWED_HOSTS=127.0.0.1" in refused.json["feeds"][0]["error"]["remedy"]
        assert server.requests == []
        allowed = {"NEWS_ALLOWED_HOSTS": "127.0.0.1"}
        found = ours.run("news", "fetch", "good", more=allowed)
        assert found.code == 0, found.text
        assert "good" in found.text
        assert ours.run("news", "feeds", "add", "page", server.url("/page")).code == 0
        failed = ours.run("news", "fetch", more=allowed)
        assert (failed.code, "a web page" in failed.text or "no feed" in failed.text) == (1, True)
    listed = {one["name"]: one["status"] for one in ours.run("news", "feeds", "list", "--json").json}
    assert listed == {"good": "ok", "page": "failed"}
    assert len(ours.run("news", "list", "--json").json) == 3
    wrong = (
        "fetch gone",
        "list GONE",
        "feeds add x ftp://a",
        "feeds remove gone",
        "import gone.csv",
        "aliases add GONE x",
    )
    for words in wrong:
        assert ours.run("news", *words.split()).code == 2, words
