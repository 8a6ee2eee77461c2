# SPDX-License-Identifier: Apache-2.0
"""The XID catalogue: closed sets of severities and actions, no code twice, what is not in it, and what alerts name."""

from itertools import pairwise

import pytest

from inferometer.catalog import XID_ACTION, XID_SEVERITY
from inferometer.xid_catalog import (
    ACTIONS,
    ALERTED,
    CATALOG,
    FATAL,
    PAGED,
    RESET,
    SEVERITIES,
    TICKETED,
    UNKNOWN,
    WARNING,
    entry,
)


def test_the_actions_and_severities_are_those_of_the_attributes() -> None:
    """The sets that rules rely on are closed; every action is some bucket's, and every severity some code's."""
    assert set(ACTIONS.values()) == set(XID_ACTION.values)
    assert XID_SEVERITY.values == SEVERITIES
    assert {known.severity for known in CATALOG} == set(SEVERITIES) - {UNKNOWN}


def test_codes_rise_and_every_bucket_is_known() -> None:
    """No code stands twice, and no bucket is misspelt or there for nothing."""
    assert all(before.code < after.code for before, after in pairwise(CATALOG))
    assert {known.bucket for known in CATALOG} == set(ACTIONS)
    assert all(known.mnemonic for known in CATALOG)
    assert len({known.mnemonic for known in CATALOG}) == len(CATALOG)


def test_codes_of_equal_parts_are_named_after_the_part() -> None:
    """What stands as a range in the file has a name for each code."""
    named = {code: entry(code).mnemonic for code in (39, 41, 72, 77, 84, 88, 98, 105, 126, 135, 139)}
    assert named == {
        39: "CE0_ERROR",
        41: "CE2_ERROR",
        72: "CE5_ERROR",
        77: "CE8_ERROR",
        84: "NVDEC2_ERROR",
        88: "NVDEC3_ERROR",
        98: "NVDEC7_ERROR",
        105: "NVJPG7_ERROR",
        126: "CE10_ERROR",
        135: "CE19_ERROR",
        139: "OFA1_ERROR",
    }


def test_what_is_paged_and_ticketed_follows_from_the_catalogue() -> None:
    """A reset or worse wakes somebody, a warning is a ticket unless NVIDIA says to ignore it, and no code is both."""
    assert {known.code for known in CATALOG if known.severity in (RESET, FATAL)} == set(PAGED)
    assert {entry(code).severity for code in TICKETED} == {WARNING}
    assert not set(PAGED) & set(TICKETED)
    assert list(ALERTED) == sorted({*PAGED, *TICKETED})
    # Each is a series of every GPU from the start: 8 GPUs have some three hundred.
    assert len(ALERTED) <= 40


def test_whoever_must_reset_or_restart_is_told() -> None:
    """A code for which NVIDIA recommends a reset, a restart or a check of the hardware pages."""
    for known in CATALOG:
        if known.action in ("reset_gpu", "restart_node", "check_hardware"):
            assert known.code in PAGED, known


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        (13, "application"),
        (31, "application"),
        (45, "application"),
        (48, "reset"),
        (54, "fatal"),
        (63, "warning"),
        (74, "reset"),
        (79, "fatal"),
        (94, "warning"),
        (95, "fatal"),
        (106, "info"),
        (119, "fatal"),
        (154, "info"),
        (171, "reset"),
        (61, "unknown"),
        (173, "unknown"),
        (999, "unknown"),
        (0, "unknown"),
        (-1, "unknown"),
    ],
)
def test_how_bad_it_is(code: int, severity: str) -> None:
    """The severity of the codes that people meet, and unknown for what the catalogue does not have or use."""
    assert entry(code).severity == severity


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (13, "restart_app"),
        (31, "restart_app"),
        (43, "ignore"),
        (45, "workflow"),
        (48, "workflow"),
        (54, "check_hardware"),
        (63, "ignore"),
        (64, "reset_gpu"),
        (74, "workflow"),
        (78, "update_software"),
        (79, "restart_node"),
        (94, "restart_app"),
        (95, "reset_gpu"),
        (102, "restart_app"),
        (119, "reset_gpu"),
        (130, "restart_app"),
        (142, "contact_support"),
        (151, "restart_node"),
        (154, "workflow"),
        (167, "unknown"),  # the catalogue recommends nothing
        (61, "contact_support"),  # "unused" there
        (173, "unknown"),  # newer than the catalogue
        (999, "unknown"),  # the driver does not say which
        (0, "unknown"),
    ],
)
def test_what_is_to_be_done_first(code: int, expected: str) -> None:
    """NVIDIA's recommendation for the codes that people meet, and none that we made up."""
    assert entry(code).action == expected
