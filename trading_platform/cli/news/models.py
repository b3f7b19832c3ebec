"""``news model``: fetches a model of sentiment such as FinBERT, exports it, and shows the one that is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trading_platform.cli.output import out, print_json

models = typer.Typer(
    help="Models of sentiment such as FinBERT. Example: trading-platform news model show.", no_args_is_help=True
)


@models.command()
def fetch(
    name: Annotated[str | None, typer.Argument(help="Name on the hub. Default: ProsusAI/finbert.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit. Default: the newest.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Fetch a model of sentiment from the hub; needs a network and the extra `finbert`.

    Example: trading-platform news model fetch ProsusAI/finbert
    """
    from trading_platform.settings import load_settings
    from trading_platform.sources.news.model_hub import DEFAULT_MODEL, download_model
    from trading_platform.workflows.news.fetch_model import fetch_model

    settings, wanted = load_settings(), name or DEFAULT_MODEL
    found = fetch_model(lambda into: download_model(wanted, into, revision=revision), settings.models_directory)
    if json:
        print_json({"model": found.name, "revision": found.revision, "folder": str(found.path)})
        return
    out.print(f"Fetched {found.name}, revision {found.revision}.", highlight=False)
    out.print(f"SENTIMENT_MODEL={found.path}", highlight=False, soft_wrap=True)
    out.print("Set this to use it. `trading-platform news model export` makes it several times faster.")


@models.command()
def export(
    folder: Annotated[Path | None, typer.Argument(help="Folder of the model. Default: SENTIMENT_MODEL.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Export a model to ONNX with weights of eight bits, and compare both; needs the extra `finbert`.

    Example: trading-platform news model export data/models/ProsusAI--finbert-4556d1301523
    """
    from trading_platform.domain.errors import ConfigurationError
    from trading_platform.settings import load_settings
    from trading_platform.stores.news.model_export import export_int8

    path = folder or load_settings().sentiment_model
    if path is None:
        raise ConfigurationError(
            "There is no model to export.",
            expected="the folder of a model, or SENTIMENT_MODEL",
            received="neither",
            remedy="`trading-platform news model fetch` fetches one",
        )
    done = export_int8(path.expanduser())
    if json:
        print_json(vars(done))
        return
    out.print(
        f"Exported {done.name}, revision {done.revision}: {done.size / 2**20:,.0f} MB, "
        f"scales by {done.form}. On sample texts "
        f"{done.same_labels:.0%} of the labels are the original's; probabilities differ by {done.difference:.3f}.",
        highlight=False,
    )


@models.command()
def show(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """Show which model scores articles, and check that it can be run. Example: trading-platform news model show."""
    from trading_platform.resources.news import sentiment_model
    from trading_platform.settings import load_settings

    model = sentiment_model(load_settings())
    model.classify(["Acme to hold annual meeting on May 3"])
    if json:
        print_json({"model": model.name, "revision": model.revision, "engine": model.engine})
    else:
        out.print(f"{model.name}, revision {model.revision}, run by {model.engine}.", highlight=False)
