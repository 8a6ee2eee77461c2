# SPDX-License-Identifier: Apache-2.0
"""What derives from the configuration's keys: defaults, example, JSON Schema and reference page agree with the loader."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from inferometer.config import Config, ConfigError, load
from inferometer.config.document import read_file
from inferometer.config.example import commented_defaults
from inferometer.config.json_schema import schema
from inferometer.config.keys import every_key
from inferometer.config.quantities import format_seconds, format_size, parse_seconds, parse_size
from inferometer.views import docs

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "inferometer.yaml"


def accepted_by_loader(path: Path) -> bool:
    try:
        load(str(path), {})
    except ConfigError:
        return False
    return True


def accepted_by_schema(path: Path) -> bool:
    return bool(Draft202012Validator(schema()).is_valid(read_file(str(path)).tree))


def paths_of(tree: Any, path: str = "") -> set[str]:
    """Give the dotted paths of all keys of a document, as `Key.dotted` spells them."""
    if isinstance(tree, list):
        return {found for item in tree if isinstance(item, dict) for found in paths_of(item, f"{path}[]")}
    if not isinstance(tree, dict):
        return set()
    found = set()
    for name, value in tree.items():
        below = f"{path}.{name}".removeprefix(".")
        found |= {below} | (set() if below.endswith("headers") else paths_of(value, below))
    return found


def test_the_commented_defaults_load_back_to_the_defaults(tmp_path: Path) -> None:
    """What `inferometer config` prints is a valid file with every key and no effect."""
    path = tmp_path / "c.yaml"
    path.write_text(commented_defaults())

    assert load(str(path), {}) == Config()
    assert paths_of(read_file(str(path)).tree) == {key.dotted for key in every_key() if "[]" not in key.path}
    for key in every_key():
        assert key.text.split()[0] in commented_defaults()


def test_the_example_has_every_key() -> None:
    """A key that is added without an example fails here."""
    assert load(str(EXAMPLE), {}).engines.targets
    assert {key.dotted for key in every_key()} == paths_of(read_file(str(EXAMPLE)).tree)


def test_the_schema_is_one() -> None:
    """The JSON Schema is valid by its own metaschema, and as JSON."""
    Draft202012Validator.check_schema(json.loads(json.dumps(schema())))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("server:", True),
        ("period: 5", True),
        ("period: 2m", True),
        ("period: 5 s", False),
        ("period: '5'", False),
        ("period: 0", False),
        ("period: 3000000", False),
        ("period: -5", False),
        ("period: true", False),
        ("server: {listen: ':80'}", True),
        ("server: {listen: '80'}", False),
        ("server: {listen: 'a:65536'}", False),
        ("server: {max_connections: 0}", False),
        ("server: {max_connections: 2.0}", True),
        ("server: {nothing: 0}", False),
        ("server: [a]", False),
        ("nothing: 0", False),
        ("identity: {pods: {source: off}}", True),
        ("identity: {pods: {source: never}}", False),
        ("identity: {pods: {server: 'https://[::1]:6443'}}", True),
        ("identity: {pods: {server: 'host'}}", False),
        ("identity: {team_keys: [a, b]}", True),
        ("identity: {team_keys: [a, 5]}", False),
        ("identity: {team_keys: a}", False),
        ("devices: {nvidia: {enabled: yes}}", False),
        ("devices: {nvidia: {enabled: false}}", True),
        ("engines: {targets: []}", True),
        ("engines: {targets: [{}]}", False),
        ("engines: {targets: [{url: 'http://a'}]}", True),
        ("engines: {targets: [{url: 'ftp://a'}]}", False),
        ("engines: {targets: [{url: 'http://a', headers: {a: b}}]}", True),
        ("engines: {targets: [{url: 'http://a', headers: {a: 5}}]}", False),
        ("engines: {targets: [null]}", False),
        ("engines: {max_page: 1MiB}", True),
        ("engines: {max_page: 10}", False),
        ("engines: {max_page: 1.5MiB}", False),
        ("otlp: {endpoint: ''}", True),
        ("otlp: {endpoint: 'collector:4317'}", True),
        ("otlp: {endpoint: 'collector'}", False),
        ("otlp: {headers: }", False),
    ],
)
def test_the_schema_accepts_what_the_loader_accepts(tmp_path: Path, text: str, fits: bool) -> None:
    """An editor and the agent judge a file alike."""
    path = tmp_path / "c.yaml"
    path.write_text(text)

    assert (accepted_by_loader(path), accepted_by_schema(path)) == (fits, fits)


def test_the_schema_accepts_the_example_and_the_defaults(tmp_path: Path) -> None:
    """The two files that everybody starts from."""
    path = tmp_path / "c.yaml"
    path.write_text(commented_defaults())

    assert accepted_by_schema(path)
    assert accepted_by_schema(EXAMPLE)


def test_quantities_are_written_with_their_largest_unit() -> None:
    """A reader meets `5m` and `16MiB`, and the loader reads them back."""
    for seconds, text in ((0.0, "0s"), (0.01, "10ms"), (1.0, "1s"), (90.0, "90s"), (300.0, "5m"), (86400.0, "1d")):
        assert (format_seconds(seconds), parse_seconds(text)) == (text, seconds)
    for size, text in ((0, "0B"), (1000, "1kB"), (1024, "1KiB"), (16 << 20, "16MiB"), (3_500_000, "3500kB")):
        assert (format_size(size), parse_size(text)) == (text, size)


def test_the_reference_page_is_the_committed_one() -> None:
    """`docs/configuration.md` is generated, and names every key with its variable."""
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert page == docs.configuration(), "run `make docs`"
    for key in every_key():
        assert f"`{key.dotted}`" in page
        assert not key.variable or re.search(rf"\| `{re.escape(key.dotted)}` \|.*\| `{key.variable}` \|", page)
