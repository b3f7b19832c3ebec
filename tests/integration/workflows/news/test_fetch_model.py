"""A model is fetched from a hub: a server on loopback that answers as Hugging Face does, faults included."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from news_server import NewsServer, news_server
from tiny_models import ORDERS, WORDS, tiny_model, write_tokenizer

from trading_platform.domain.errors import ConfigurationError, SourceRejected, SourceUnavailable
from trading_platform.sources.news.model_hub import download_model
from trading_platform.stores.news.model_folder import ModelFolder
from trading_platform.workflows.news.fetch_model import fetch_model

NAME, COMMIT, CONVERTED = "ProsusAI/finbert", "4556d13015211d73dccd3fdd39d39232506f3e43", "a" * 40


@pytest.fixture
def hub() -> Iterator[NewsServer]:
    with news_server() as server:
        yield server


def serve(hub: NewsServer, folder: Path, commit: str, asked: str = "") -> None:
    """Offers the files of a folder as a commit, which is also known as what is asked for."""
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    siblings = [{"rfilename": name, "size": len(body)} for name, body in files.items()]
    answer = json.dumps({"id": NAME, "modelId": NAME, "sha": commit, "siblings": siblings, "tags": []}).encode()
    revision = f"/revision/{asked.replace('/', '%2F')}" if asked else ""
    hub.serve(f"/api/models/{NAME}{revision}?blobs=true", answer, Content_Type="application/json")
    for name, body in files.items():
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X_Repo_Commit": commit}
        hub.serve(f"/{NAME}/resolve/{commit}/{name}", body, **headers)


def fetch(hub: NewsServer, folder: Path, revision: str | None = None) -> ModelFolder:
    return fetch_model(lambda into: download_model(NAME, into, revision=revision, endpoint=hub.url("")), folder)


def published(folder: Path, *, weights: str = "model.safetensors") -> Path:
    tiny_model(folder, ORDERS[NAME])
    (folder / "model.int8.onnx").rename(folder / weights)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    return folder


def test_a_model_is_fetched_whole_and_once(hub: NewsServer, tmp_path: Path):
    serve(hub, published(tmp_path / "hub"), COMMIT)
    found = fetch(hub, tmp_path / "models")
    assert (found.name, found.revision) == (NAME, COMMIT)
    assert found.path.name == f"ProsusAI--finbert-{COMMIT[:12]}"
    kept = {file.name for file in found.path.iterdir()}
    assert kept == {
        "config.json",
        "model.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    assert not [path for path, _ in hub.requests if path.endswith(".bin")]
    assert fetch(hub, tmp_path / "models").path == found.path
    assert [each.name for each in (tmp_path / "models").iterdir()] == [found.path.name]
    assert {file.stat().st_mode & 0o077 for file in found.path.iterdir()} == {0}


def test_pickles_are_not_fetched_and_the_hubs_conversion_is(hub: NewsServer, tmp_path: Path):
    serve(hub, published(tmp_path / "hub", weights="flax_model.msgpack"), COMMIT)
    discussions = f"/api/models/{NAME}/discussions?type=pull_request&author=SFconvertbot&p=0"
    hub.serve(
        discussions,
        b'{"discussions": [], "count": 0, "start": 0}',
        Content_Type="application/json",
    )
    with pytest.raises(SourceRejected, match="other formats can execute code"):
        fetch(hub, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
    offered = {
        "num": 7,
        "title": "Adding `safetensors` variant of this model",
        "author": {"name": "SFconvertbot"},
        "status": "open",
        "createdAt": "2023-03-01T00:00:00.000Z",
        "repo": {"name": NAME, "type": "model"},
        "isPullRequest": True,
    }
    found = json.dumps({"discussions": [offered], "count": 1, "start": 0}).encode()
    hub.serve(discussions, found, Content_Type="application/json")
    serve(hub, published(tmp_path / "converted"), CONVERTED, "refs/pr/7")
    assert fetch(hub, tmp_path / "models").revision == CONVERTED
    assert not [path for path, _ in hub.requests if path.endswith(("pytorch_model.bin", "msgpack"))]


def test_a_model_with_another_tokenizer_is_not_kept(hub: NewsServer, tmp_path: Path):
    folder = published(tmp_path / "hub")
    write_tokenizer(folder, [*WORDS, "more"])
    serve(hub, folder, COMMIT)
    with pytest.raises(ConfigurationError, match="tokenizer"):
        fetch(hub, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_hub_that_has_it_not_or_does_not_answer(hub: NewsServer, tmp_path: Path):
    with pytest.raises(SourceRejected):
        fetch(hub, tmp_path / "models")
    with pytest.raises(SourceRejected, match="no such model"):
        fetch_model(lambda into: download_model("no name/at/all", into), tmp_path / "models")
    with pytest.raises(SourceUnavailable, match="copy the folder"):
        fetch_model(lambda into: download_model(NAME, into, endpoint="http://127.0.0.1:9"), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_nothing_is_downloaded_without_the_package(tmp_path: Path):
    program = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from pathlib import Path\n"
        "from trading_platform.sources.news.model_hub import download_model\n"
        "try: download_model('a/b', Path())\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "pip install 'trading-platform[finbert]'" in done.stdout
