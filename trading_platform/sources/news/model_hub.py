"""Downloads the files of a model of sentiment from a model hub, by the hub's own library and of one commit.

The hub is Hugging Face, or the one that ``HF_ENDPOINT`` names. Weights in formats that can execute are never asked
for. What is downloaded is checked by :mod:`trading_platform.stores.news.model_folder`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trading_platform.domain.errors import ConfigurationError, SourceRejected, SourceUnavailable

DEFAULT_MODEL = "ProsusAI/finbert"

_WEIGHTS = "model.safetensors"
_WANTED = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "README.md", "LICENSE", _WEIGHTS)
_LARGEST = 2 * 2**30
_CONVERTER = "SFconvertbot"  # the hub's own account, which offers safetensors of weights that are pickles


@dataclass(frozen=True)
class Downloaded:
    """What was downloaded.

    Attributes:
        name: name of the model on the hub.
        revision: the commit of all files.
        files: their names.
    """

    name: str
    revision: str
    files: tuple[str, ...]


def download_model(name: str, into: Path, *, revision: str | None = None, endpoint: str | None = None) -> Downloaded:
    """Downloads a model into a folder.

    Args:
        name: its name on the hub, such as ``ProsusAI/finbert``.
        into: the folder, which exists.
        revision: branch, tag or commit; None: the main branch, or the hub's own conversion of it to safetensors where
            the main branch has only pickles.
        endpoint: address of the hub; None: the library's.

    Raises:
        ConfigurationError: if the package is missing.
        SourceRejected: if there is no such model or revision, or it has no weights that cannot execute.
        SourceUnavailable: if the hub cannot be reached.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigurationError(
            "Fetching a model needs packages that are not installed.",
            expected="huggingface_hub",
            received=str(error)[:200],
            remedy="pip install 'trading-platform[finbert]'",
        ) from None
    with _errors(name, revision):
        api = huggingface_hub.HfApi(endpoint=endpoint)
        info = api.model_info(name, revision=revision, files_metadata=True)
        if revision is None and _WEIGHTS not in _sizes(info):
            for each in api.get_repo_discussions(name, author=_CONVERTER, discussion_type="pull_request"):
                info = api.model_info(name, revision=f"refs/pr/{each.num}", files_metadata=True)
                if _WEIGHTS in _sizes(info):
                    break
        sizes = _sizes(info)
        if _WEIGHTS not in sizes or (sizes[_WEIGHTS] or 0) > _LARGEST:
            raise SourceRejected(
                f"The model {name} has no weights that can be used.",
                expected=f"{_WEIGHTS} of at most 2 GB; other formats can execute code and are not opened",
                received=", ".join(sorted(sizes))[:500] or "no file",
                remedy="name a revision that has them with --revision, or another model",
            )
        files = tuple(file for file in _WANTED if file in sizes)
        for file in files:
            huggingface_hub.hf_hub_download(
                name, file, revision=info.sha, local_dir=into, endpoint=endpoint, library_name="trading-platform"
            )
    return Downloaded(name, str(info.sha), files)


def _sizes(info: Any) -> dict[str, int | None]:
    return {each.rfilename: each.size for each in info.siblings or ()}


@contextmanager
def _errors(name: str, revision: str | None) -> Iterator[None]:
    """Converts the library's errors."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    asked = name if revision is None else f"{name}, revision {revision}"
    try:
        yield
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise SourceRejected(
            "The hub has no such model.",
            expected="a name such as ProsusAI/finbert, and a revision that exists",
            received=f"{asked}: {type(error).__name__}",
            remedy="correct the name or the revision",
        ) from None
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        refused = status in {401, 403, 404}
        kind = SourceRejected if refused else SourceUnavailable
        raise kind(
            "The hub did not give the model.",
            expected="status 200",
            received=f"status {status} for {asked}",
            remedy="name a model that is public" if refused else "try again later",
        ) from None
    except (SourceRejected, ConfigurationError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever its HTTP library raises, which differs between its versions
        raise SourceUnavailable(
            "The hub could not be reached.",
            expected=f"an answer about {asked}",
            received=f"{type(error).__name__}: {error}"[:200],
            remedy="connect this machine to the internet, or copy the folder of the model from one that is",
        ) from None
