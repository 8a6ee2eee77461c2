# SPDX-License-Identifier: Apache-2.0
"""What holds for every file of the repository."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import inferometer

ROOT = Path(__file__).parents[2]
OUR_LINE = "SPDX-License-Identifier: Apache-2.0"

_NOT_OURS = re.compile(
    r"\.git|\.venv.*|\..*_cache|\.hypothesis|__pycache__|dist|build|.*\.egg-info"
)  # what .gitignore names
_GENERATED = re.compile(r".*_pb2\.pyi?|inferometer\.yaml")  # by `make proto`; the example, by `make docs`
_RECORDED = ("tests/fixtures", "tests/golden")
_SOURCE_SUFFIXES = {".py", ".pyi", ".sh", ".c", ".h", ".proto", ".toml", ".yaml", ".yml", ".service", ".cfg", ".in"}
_SOURCE_NAMES = {"Containerfile", "Makefile", ".dockerignore", ".editorconfig", ".gitattributes"}


def files() -> Iterator[Path]:
    """Every file of a checkout, relative to its root, without what tools leave there."""
    for directory, names, found in os.walk(ROOT):
        names[:] = sorted(name for name in names if not _NOT_OURS.fullmatch(name))
        for name in sorted(found):
            if not name.endswith((".pyc", ".so", ".so.1")) and name != ".git":
                yield (Path(directory) / name).relative_to(ROOT)


def is_recorded(path: Path) -> bool:
    """Whether these are bytes that were captured or are compared as they are."""
    return path.as_posix().startswith(_RECORDED)


def is_source(path: Path) -> bool:
    """Whether a person wrote this file in a language that has comments."""
    if is_recorded(path) or _GENERATED.fullmatch(path.name):
        return False
    return path.suffix in _SOURCE_SUFFIXES or path.name in _SOURCE_NAMES or path.parts[0] == ".ci"


def locks() -> list[Path]:
    """The requirement files that `make lock` writes."""
    return sorted(path for path in (ROOT / "requirements").glob("*.txt") if not path.name.endswith("-overrides.txt"))


def test_every_source_file_names_its_licence_at_its_beginning() -> None:
    """The SPDX line is the first, or the second below an interpreter line."""
    without = [
        path.as_posix()
        for path in files()
        if is_source(path)
        and not any(OUR_LINE in line for line in (ROOT / path).read_text(encoding="utf-8").splitlines()[:2])
    ]
    assert without == []


def test_the_licence_is_the_whole_text_and_the_notice_names_what_is_vendored() -> None:
    """LICENSE has the terms and not only their name; NOTICE names each vendored file, and the file is there."""
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    vendored = re.findall(r"\(([\w./]+)\)", (ROOT / "NOTICE").read_text(encoding="utf-8"))
    assert vendored
    assert [path for path in vendored if not (ROOT / path).exists()] == []


def test_the_version_stands_in_one_place() -> None:
    """The package says it; metadata, command line and documents derive it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]
    literal = re.compile(rf"""["']{re.escape(inferometer.__version__)}["']""")
    places = [
        path.as_posix()
        for path in files()
        if path.parts[0] == "exporter"
        and path.suffix == ".py"
        and literal.search((ROOT / path).read_text(encoding="utf-8"))
    ]
    assert places == ["exporter/inferometer/__init__.py"]


def test_the_changelog_speaks_of_this_version() -> None:
    """Whoever changes the version writes down what changed."""
    assert inferometer.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        (
            "a place of one person's machine",
            r"(?<![\w.])/(?:home(?!/kubernetes/)|root|work|Users)/[\w.]",
        ),  # GKE's own directory
        (
            "a file outside the repository",
            r"(?:^|[^\w.])\.\./[s]hared\b|(?<![\w/.-])[s]hared/(?:fixtures|reference|recipes)",
        ),
        ("a package index", r"--(?:extra-)?index-url|--find-links|--trusted-host|://[^\s\"']+/simple\b"),
        ("a conflict marker", r"^(?:<{7}|>{7}) "),
        ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    ],
)
def test_no_file_names(what: str, pattern: str) -> None:
    """No file depends on where it was written."""
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in files()
        if not (ROOT / path).samefile(__file__) and not path.as_posix().startswith("tests/fixtures")
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], what


def test_every_suppression_carries_its_reason() -> None:
    """`noqa` and `type: ignore` name their rule, and the line goes on to say why."""
    suppression = re.compile(r"#\s*(?:noqa|type:\s*ignore)(?P<rule>[:\[][^#]*)?(?P<reason>#.*)?$")
    bare = []
    for path in files():
        if path.suffix == ".py" and not _GENERATED.fullmatch(path.name) and not is_recorded(path):
            for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
                match = suppression.search(line)
                if match and not (match["rule"] and match["reason"]):
                    bare.append(f"{path}:{number}: {line.strip()[:100]}")
    assert bare == []


@pytest.mark.parametrize("lock", locks(), ids=lambda path: path.name)
def test_a_lock_pins_every_release_by_hash_and_names_no_host(lock: Path) -> None:
    """Each requirement is one exact version with SHA-256 hashes; there is no URL, no option and no local path."""
    entries: dict[str, int] = {}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        text = line.split("#", 1)[0].strip()
        if text:
            requirement, *hashes = re.split(r"\s+--hash=", text)
            assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[\w.!+]+(?: ; [^@]+)?", requirement), requirement
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement
            entries[requirement] = len(hashes)
    assert entries
    assert all(entries.values())
    assert "://" not in lock.read_text(encoding="utf-8")


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Every direct dependency stands in the lock that serves it: a forgotten `make lock` fails here."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = document["dependency-groups"]

    def names(requirements: list[object]) -> set[str]:
        return {re.split(r"[^\w.-]", item, maxsplit=1)[0].lower() for item in requirements if isinstance(item, str)}

    def locked(lock: str) -> set[str]:
        return set(
            re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / lock).read_text(encoding="utf-8"), re.MULTILINE)
        )

    run = names(document["project"]["dependencies"])
    assert run <= locked("run.txt")
    assert run | names(groups["test"]) | names(groups["static"]) | names(groups["build"]) <= locked("dev.txt")
    assert names(groups["dynamo"]) <= locked("dynamo.txt")
    assert names(groups["build"]) <= locked("build.txt")
    assert names(groups["bench"]) <= locked("bench.txt")
    for other in ("fuzz", "vllm", "triton"):
        assert names(groups[other]) <= locked(f"{other}.txt")
