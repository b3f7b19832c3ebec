"""What stands around the code agrees with the code: documents, settings, the lock file, the repository itself."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from trading_platform.cli.main import app
from trading_platform.settings import Settings

REPOSITORY = Path(__file__).parents[3]
LARGEST = 1_000_000


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def tracked() -> list[Path]:
    response = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if response.returncode:
        pytest.skip("not a git checkout: what belongs to it is unknown")
    return [path for name in response.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def commands() -> dict[str, str]:
    """Every command as it is typed, with its help."""
    found = {}
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        if command.hidden:  # the former name of another
            continue
        for part, inner in getattr(command, "commands", {"": command}).items():
            found[f"{name} {part}".strip()] = inner.help or ""
    return found


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented_and_has_an_example(command: str):
    assert re.search(rf"Example:\s*(\[bold\])?trading-platform {command}", commands()[command]), "no example in --help"
    documented = text("README.md") + (text("docs/commands.md") if (REPOSITORY / "docs/commands.md").exists() else "")
    for word in command.split():
        assert re.search(rf"`[^`\n]*\b{word}\b[^`\n]*`", documented), f"{word} is not in the README"


def test_the_readme_begins_with_two_commands():
    readme = text("README.md")
    assert "make demo" in readme
    assert readme.index("make demo") < readme.index("make test") < readme.index("trading-platform import")


LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
"""A link to a file of the repository; a heading in it is left out."""


def links(document: Path) -> list[str]:
    return LINK.findall(document.read_text(encoding="utf-8"))


def pages() -> list[Path]:
    """The documents for readers: README, CONTRIBUTING, the changelog, and all of docs/."""
    return [path for path in tracked() if path.suffix == ".md"]


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{document.relative_to(REPOSITORY)}: {target}"
        for document in tracked()
        if document.suffix == ".md"
        for target in links(document)
        if not (document.parent / target).exists()
    ]
    assert not broken, broken


def test_every_page_is_reachable_from_the_index():
    docs = REPOSITORY / "docs"
    reached: set[Path] = set()
    waiting = [docs / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            targets = {(page.parent / target).resolve() for target in links(page)}
            waiting.extend(target for target in targets if target.suffix == ".md" and target.is_relative_to(docs))
    unreachable = {path for path in tracked() if path.suffix == ".md" and path.is_relative_to(docs)} - reached
    assert not unreachable, f"no link leads from docs/index.md to {sorted(map(str, unreachable))}"


def test_the_readme_leads_to_the_index():
    assert "docs/index.md" in links(REPOSITORY / "README.md")


UNAVAILABLE = re.compile(
    r"§|data[- ]architecture\b|\b(?:the|user's|original) (?:user's |data )?(?:document|design|spec|specification)\b",
    re.IGNORECASE,
)
"""What cites a document that a reader of the repository does not have. ``its file specification`` does not."""

GENERATED = "docs/schema.md"
"""Written from the comments in the database, which are held to their own words."""


def test_no_page_cites_a_document_that_the_reader_does_not_have():
    cited = [
        f"{page.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for page in pages()
        if str(page.relative_to(REPOSITORY)) != GENERATED
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
        if UNAVAILABLE.search(line)
    ]
    assert not cited, "state the rule instead: " + "; ".join(cited)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Tables are those of the data architecture (§2).", True),
        ("as the document has them", True),
        ("The user's document names the tables.", True),
        ("as the design says", True),
        ("by the spec", True),
        ("a small JSON document that is stored with the bars", False),
        ("HistData: its file specification", False),
        ("docs/architecture.md", False),
    ],
)
def test_a_citation_is_more_than_a_word(*, line: str, found: bool):
    assert bool(UNAVAILABLE.search(line)) is found


PATH = re.compile(
    r"`((?:trading_platform|tests|sql|benchmarks|docs|assets|checks|cli|client|domain|embedded|resources|schedules|"
    r"sensors|simulator|sources|stores|streaming|workflows)/[\w./-]+)`"
)
"""A path of the repository in a page, from its root or from the package; without placeholders."""


def test_paths_in_documents_exist():
    missing = [
        f"{page.relative_to(REPOSITORY)}: {path}"
        for page in pages()
        for path in PATH.findall(page.read_text(encoding="utf-8"))
        if not any((root / path).exists() for root in (REPOSITORY, REPOSITORY / "trading_platform"))
    ]
    assert not missing, missing


def test_the_changelog_begins_with_what_is_unreleased():
    assert re.findall(r"^## (.+)$", text("CHANGELOG.md"), re.MULTILINE)[0] == "Unreleased"


def test_every_setting_is_in_the_example_and_nothing_else():
    listed = re.findall(r"^([A-Z_]+)=", text(".env.example"), re.MULTILINE)
    assert sorted(listed) == sorted(name.upper() for name in Settings.model_fields)


def test_the_example_says_what_holds_without_it():
    path = REPOSITORY / ".env.example"
    assert Settings(_env_file=path).model_dump() == Settings(_env_file=None).model_dump()  # type: ignore[call-arg]


def test_the_lock_covers_every_dependency_and_names_no_address():
    lock = text("requirements.lock")
    assert not re.search(r"://|--index|--find-links|@ file", lock)
    pinned = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", lock, re.MULTILINE)}
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    missing = [line for line in wanted if normal(re.match(r"[A-Za-z0-9._-]+", line)[0]) not in pinned]
    assert not missing, f"not in requirements.lock: {missing}"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_file_is_large():
    large = {str(path.relative_to(REPOSITORY)): path.stat().st_size for path in tracked()}
    assert not {name: size for name, size in large.items() if size > LARGEST}


def test_no_file_knows_the_machine_it_was_written_on():
    machine = re.compile(rb"/(?:work|root|home/[a-z]+|opt/pypi)/|/tmp/[a-z]")
    found = [str(path.relative_to(REPOSITORY)) for path in tracked() if machine.search(path.read_bytes())]
    assert not set(found) - {str(Path(__file__).relative_to(REPOSITORY))}, found


def test_the_licence_is_whole():
    licence = text("LICENSE")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
