"""``features snapshots`` and ``features snapshot``: lists, shows and deletes saved snapshots of features.

They are saved by the client (:mod:`trading_platform.client`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.output import out, print_json, table

if TYPE_CHECKING:
    from trading_platform.stores.features.recorded.manifests import Manifest
    from trading_platform.stores.features.recorded.snapshots import SnapshotStore

snapshot = typer.Typer(
    help="A saved snapshot: show or delete it.\n\nExample: trading-platform features snapshot show momentum-2024",
    no_args_is_help=True,
)

_Name = Annotated[str, typer.Argument(help="Name of the snapshot.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def snapshots(json: _Json = False) -> None:
    """List the saved snapshots.

    Example: trading-platform features snapshots
    """
    store = _store()
    found = store.all()
    if json:
        print_json([_facts(each, store) for each in found])
    elif found:
        columns = ("name", "saved (UTC)", "rows", "columns", "files", "bytes", "recorded as of (UTC)")
        rows = [_row(each, store) for each in found]
        out.print(table("Snapshots", columns, rows, right=columns[2:6], keys=("name",)))
    else:
        out.print("No snapshot is saved. `Platform.save_snapshot` saves one.")


@snapshot.command()
def show(name: _Name, json: _Json = False) -> None:
    """Show what a snapshot is of, and compare the checksums of all its files.

    Example: trading-platform features snapshot show momentum-2024
    """
    store = _store()
    found = store.open(name)
    found.verify()
    facts = _facts(found.manifest, store)
    if json:
        print_json(facts)
        return
    definitions = {key: ", ".join(f"{v} {h or 'several'}" for v, h in of) for key, of in facts["definitions"].items()}
    shown = {
        "saved": facts["created_at"],
        "rows": f"{facts['rows']:,}",
        "columns": ", ".join(facts["columns"]),
        "rows' checksum": facts["data"],
        "read from": f"{len(facts['months']):,} files, all with their checksums",
        "recorded as of": facts["contents"]["recorded_as_of"] or "when it was saved",
        "spine": facts["contents"]["spine"] or "none",
        **{key: str(value) for key, value in facts["contents"]["parameters"].items()},
        **{key.replace("_", "-"): value for key, value in facts["code"].items()},
    }
    out.print(table(name, ("what", "value"), list(shown.items()), keys=("what",)))
    out.print(table("Definitions", ("feature", "version and hash"), list(definitions.items()), keys=("feature",)))


@snapshot.command()
def delete(name: _Name, json: _Json = False) -> None:
    """Delete a snapshot. Files that another one, or an earlier state of the features, needs stay.

    Example: trading-platform features snapshot delete momentum-2024
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings()) as platform:
        deleted = platform.stores.features.snapshots.delete(name)
    if json:
        print_json({"removed": deleted.removed, "needed": deleted.needed})
    else:
        stay = f" {deleted.needed:,} of its files stay, because others need them." if deleted.needed else ""
        out.print(f"Deleted {name}. Files removed that nothing needs: {deleted.removed:,}.{stay}", highlight=False)


def _store() -> SnapshotStore:
    """The snapshots, read without a server."""
    from trading_platform.settings import load_settings
    from trading_platform.stores.features.files import FeatureStore

    return FeatureStore(load_settings().features_directory).snapshots


def _facts(manifest: Manifest, store: SnapshotStore) -> dict[str, Any]:
    return {**manifest.as_dict(), "bytes": store.bytes_of(manifest)}


def _row(manifest: Manifest, store: SnapshotStore) -> tuple[Any, ...]:
    recorded = manifest.contents.recorded_as_of
    return (
        manifest.name,
        f"{manifest.created_at:%Y-%m-%d %H:%M:%S}",
        manifest.rows,
        len(manifest.columns),
        len(manifest.months),
        store.bytes_of(manifest),
        "" if recorded is None else f"{recorded:%Y-%m-%d %H:%M:%S}",
    )
