# SPDX-License-Identifier: Apache-2.0
"""Other agents on a node: found by their labels, told of once they have come to stay."""

import logging

import pytest

from inferometer.app.company import PATIENCE, Company, find_others
from inferometer.model import Pod

AGENT = {"app.kubernetes.io/name": "inferometer", "app.kubernetes.io/component": "agent"}
OWN = Pod("u1", "obs", "agent-1", phase="Running", labels={**AGENT, "app.kubernetes.io/instance": "one"})
OTHER = Pod("u2", "more", "agent-2", phase="Running", labels={**AGENT, "app.kubernetes.io/instance": "two"})
ITSELF = ("obs", "agent-1")


@pytest.mark.parametrize(
    ("pods", "found"),
    [
        pytest.param([OWN, OTHER], ("more/agent-2",), id="another release"),
        pytest.param([OWN], (), id="alone"),
        pytest.param([OTHER], (), id="itself is not there"),
        pytest.param([OWN, Pod("u3", "more", "test", phase="Running", labels={"app.kubernetes.io/name": "inferometer"})], (), id="another component"),
        pytest.param([OWN, Pod("u4", "more", "old", phase="Succeeded", labels=AGENT)], (), id="one that has ended"),
        pytest.param([Pod("u1", "obs", "agent-1", phase="Running"), Pod("u5", "a", "b", phase="Running")], (), id="no labels"),
    ],
)  # fmt: skip
def test_others_are_known_by_their_labels(pods: list[Pod], found: tuple[str, ...]) -> None:
    """Only a running pod of the same name and component is another agent, and only beside a pod that is this one's."""
    assert find_others(pods, ITSELF) == found


def test_one_that_stays_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing while an agent may be about to go, one line when it stays, one when it is gone."""
    caplog.set_level(logging.INFO)
    now = 0.0
    company = Company(ITSELF, lambda: now)
    for now in (0.0, 1.0, PATIENCE - 1):  # noqa: B007  # the clock reads it
        company.look([OWN, OTHER])
    assert company.told == "another agent runs on this node: more/agent-2"
    assert caplog.messages == []
    for now in (PATIENCE, PATIENCE + 5):  # noqa: B007  # the clock reads it
        company.look([OWN, OTHER])
    company.look(None)
    (line,) = caplog.messages
    assert "more/agent-2" in line
    assert "Uninstall one release" in line
    company.look([OWN])
    assert (company.told, caplog.messages[1:]) == ("", ["no other agent runs on this node any more"])


def test_one_that_is_replaced_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Each time that there is none the patience begins anew."""
    now = 0.0
    company = Company(ITSELF, lambda: now)
    for now in (0.0, 20.0, 40.0):  # noqa: B007  # the clock reads it
        company.look([OWN, OTHER])
        company.look([OWN])
    assert caplog.messages == []
