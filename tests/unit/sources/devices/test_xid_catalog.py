# SPDX-License-Identifier: Apache-2.0
"""The XID catalogue: a closed set of actions, no code twice, and what is not in it."""

from itertools import pairwise

import pytest

from inferometer.catalog import XID_ACTION
from inferometer.sources.devices.xid_catalog import ACTIONS, CATALOG, action


def test_the_actions_are_those_of_the_attribute() -> None:
    """The set that rules rely on is closed, and every one of it is some bucket's."""
    assert set(ACTIONS.values()) == set(XID_ACTION.values)


def test_codes_rise_and_every_bucket_is_known() -> None:
    """No code stands twice, ranges are ranges, and no bucket is misspelt."""
    assert all(entry.first <= entry.last and entry.mnemonic and entry.bucket in ACTIONS for entry in CATALOG)
    assert all(before.last < after.first for before, after in pairwise(CATALOG))


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
    assert action(code) == expected
