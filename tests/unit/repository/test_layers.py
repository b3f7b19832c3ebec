"""Who may import whom, as docs/architecture.md has it, and what an import may cost."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PACKAGE = REPOSITORY / "trading_platform"

ORDER = (
    ("domain",),
    ("sources", "stores", "notifiers"),
    ("workflows",),
    ("settings",),
    ("embedded",),
    ("streaming", "client", "partitions", "failures", "resources"),
    ("assets", "mcp"),
    ("checks", "jobs"),
    ("schedules", "sensors"),
    ("definitions",),
    ("cli",),
)
"""A layer uses those before it; layers in one tuple do not know each other."""

APART = {"simulator": {"domain"}}
"""Stands for the outside and must not share its mistakes with what reads it; only ``cli`` starts it."""

DOMAIN_MAY_IMPORT = frozenset(
    "__future__ base64 bisect collections dataclasses datetime decimal difflib enum fnmatch fractions "
    "functools hashlib html itertools math operator pydantic re types typing unicodedata urllib uuid zlib "
    "zoneinfo exchange_calendars numpy polars rensa talib trading_platform".split()
)
"""Computation only: nothing that opens a file, a socket, a database or a process."""

HEAVY = frozenset(
    "pandas great_expectations transformers torch onnx onnxruntime tokenizers huggingface_hub yfinance "
    "exchange_calendars ib_async".split()
)


@dataclass(frozen=True)
class Import:
    """One import statement."""

    file: Path
    line: int
    module: str

    @property
    def layer(self) -> str:
        """The layer the statement stands in."""
        return _layer(self.file.relative_to(PACKAGE).with_suffix("").parts)

    @property
    def target(self) -> str | None:
        """The layer it reaches into; None where it is none of ours."""
        package, *rest = self.module.split(".")
        return _layer(tuple(rest)) if package == PACKAGE.name else None

    def __str__(self) -> str:
        return f"{self.file.relative_to(REPOSITORY)}:{self.line} imports {self.module}"


def _layer(parts: tuple[str, ...]) -> str:
    return "" if not parts or parts == ("__init__",) else parts[0]


def imports_of(file: Path) -> Iterator[Import]:
    """Every import of a module, those inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(file, node)
            if base == PACKAGE.name:
                yield from (Import(file, node.lineno, f"{base}.{alias.name}") for alias in node.names)
            else:
                yield Import(file, node.lineno, base)


def _absolute(file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = file.relative_to(REPOSITORY).parent.parts
    parents = package[: len(package) - node.level + 1]
    return ".".join((*parents, *([node.module] if node.module else [])))


def may_use(layer: str) -> set[str]:
    """The layers that a layer may import."""
    if layer in APART:
        return APART[layer] | {layer}
    place = next(number for number, group in enumerate(ORDER) if layer in group)
    lower = {name for group in ORDER[:place] for name in group}
    return lower | {layer, ""} | (set(APART) if layer == "cli" else set())


ALL_IMPORTS = [found for file in sorted(PACKAGE.rglob("*.py")) for found in imports_of(file)]


def test_every_module_belongs_to_a_layer():
    known = {name for group in ORDER for name in group} | set(APART) | {""}
    present = {
        _layer(file.relative_to(PACKAGE).with_suffix("").parts): file.relative_to(REPOSITORY)
        for file in PACKAGE.rglob("*.py")
    }
    strangers = {str(file) for layer, file in present.items() if layer not in known}
    assert not strangers, f"give these a place in ORDER and in docs/architecture.md: {sorted(strangers)}"


def test_imports_point_downwards():
    failing_rows = [
        f"{found}: {found.layer} may use {', '.join(sorted(filter(None, may_use(found.layer))))}; "
        f"move what both need below {found.layer}, or hand it in as an argument"
        for found in ALL_IMPORTS
        if found.layer and found.target and found.target not in may_use(found.layer)
    ]
    assert not failing_rows, "\n".join(failing_rows)


def test_no_two_folders_need_each_other():
    """Folders of one layer import each other in one direction only, directly and through others."""
    needs: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for found in ALL_IMPORTS:
        if not found.target:
            continue
        source = found.file.relative_to(PACKAGE).parent.parts
        target = _folder_of(found.module.split(".")[1:])
        if len(source) > 1 and len(target) > 1 and source != target:
            needs.setdefault(source, set()).add(target)

    def reached(folder: tuple[str, ...]) -> set[tuple[str, ...]]:
        seen: set[tuple[str, ...]] = set()
        ahead = [folder]
        while ahead:
            for following in needs.get(ahead.pop(), set()) - seen:
                seen.add(following)
                ahead.append(following)
        return seen

    assert ("workflows", "gaps") in needs, "the rule sees folders"
    circles = sorted("/".join(folder) for folder in needs if folder in reached(folder))
    assert not circles, circles


def _folder_of(parts: list[str]) -> tuple[str, ...]:
    folder = PACKAGE.joinpath(*parts)
    return tuple(parts) if folder.is_dir() else tuple(parts[:-1])


def test_the_rule_sees_hidden_imports(tmp_path, monkeypatch):
    package = tmp_path / "trading_platform"
    module = package / "domain" / "bars.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from trading_platform import jobs\n"
        "def late():\n    from ..stores import bars\n    import trading_platform.assets.bars\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "REPOSITORY", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)
    assert {found.target for found in imports_of(module) if found.target} == {"jobs", "stores", "assets"}
    assert not {"jobs", "stores", "assets"} & may_use("domain")


def test_domain_computes_and_does_nothing_else():
    failing_rows = [
        f"{found}: if it opens files, sockets or processes it belongs into sources, stores or embedded; "
        "if it only computes, add it to DOMAIN_MAY_IMPORT"
        for found in ALL_IMPORTS
        if found.layer == "domain" and found.module.partition(".")[0] not in DOMAIN_MAY_IMPORT
    ]
    assert not failing_rows, "\n".join(failing_rows)


def test_domain_neither_opens_nor_writes_files():
    verbs = ("read_", "scan_", "write_", "sink_")
    failing_rows = []
    for file in (PACKAGE / "domain").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            name = getattr(called, "attr", getattr(called, "id", ""))
            if name == "open" or (name.startswith(verbs) and node.args):  # write_csv() without a file gives text
                failing_rows.append(f"{file.relative_to(REPOSITORY)}:{node.lineno} calls {name}: move it into stores")
    assert not failing_rows, "\n".join(failing_rows)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("trading_platform.definitions", HEAVY),
        ("trading_platform.cli.main", HEAVY | {"dagster", "sqlalchemy", "pyarrow", "talib", "krakenex", "polars"}),
        ("trading_platform.client", HEAVY | {"dagster", "krakenex", "talib"}),
    ],
)
def test_an_import_does_not_load_what_it_may_never_need(module, unwanted):
    program = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    response = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    loaded = set(json.loads(response.stdout.splitlines()[-1])) & unwanted
    assert not loaded, f"import {module} loads {sorted(loaded)}: import them in the functions that use them"
