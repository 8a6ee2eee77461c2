# SPDX-License-Identifier: Apache-2.0
"""docs/identity.md says of every case what proves it, and the proofs are there."""

import re
from pathlib import Path

from inferometer import catalog

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "identity.md").read_text()
CASES = Path(__file__).with_name("test_identity_cases.py").read_text()
ROWS = {match[1]: match[0] for match in re.finditer(r"^\| (\d+b?) \|.*$", PAGE, re.MULTILINE)}


def test_every_case_has_its_test_and_every_test_its_case() -> None:
    """The cases are 1 to 21; what a test has under a letter is the case of its number, seen from another side."""
    tested = {number.lstrip("0") for number in re.findall(r"^def test_case_(\d+[a-z]?)_", CASES, re.MULTILINE)}

    assert {number for number in ROWS if number.isdigit()} == {str(number) for number in range(1, 22)}
    assert ROWS.keys() <= tested
    assert {number.rstrip("abcdef") for number in tested} <= ROWS.keys()


def test_the_proofs_that_are_named_are_there() -> None:
    """Each file of tests that a case names exists; of those on a real node, in tests/e2e; and churn is what the page says it is."""
    files = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}

    for row in ROWS.values():
        for proof in row.rsplit("|", 2)[1].split(","):
            for name in re.findall(r"`(test_\w+\.py)`", proof):
                assert name in files, row
                assert "node" not in proof or (ROOT / "tests" / "e2e" / name).exists(), row
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/\S+)`", PAGE))


def test_every_attribution_level_and_role_is_explained() -> None:
    """Every value that a series can have is on the page."""
    told = re.findall(r"^\| `(\w+)` \| (?!whose)", PAGE, re.MULTILINE)

    assert sorted(told) == sorted(catalog.ATTRIBUTION.values + catalog.LEVEL.values)
    assert all(f"`{role}`" in PAGE for role in catalog.ROLE.values)
