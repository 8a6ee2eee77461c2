# SPDX-License-Identifier: Apache-2.0
"""Which claims are asked for while pods come, go and cannot be read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from frames import frames
from inferometer.app.dra import Dra
from inferometer.board import Board, Poller
from inferometer.config import Config
from inferometer.model import Pod, Reason
from inferometer.sources.identity.traffic import Traffic

POD = Pod("uid-p", "ns", "p", "Running", claims={"gpu": "c"})
PERIOD = 1.0


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def poller(board: Board) -> Iterator[Poller]:
    poller = Poller(board, PERIOD)
    yield poller
    poller.close()


def test_claims_are_asked_for_as_long_as_a_pod_names_them(board: Board, poller: Poller, tmp_path: Path) -> None:
    """The last pod's claims are wanted no more once it is gone, but still are while pods cannot be read."""
    claims = replace(
        Config().identity.claims, source="node", state_file=str(tmp_path / "s"), checkpoint=str(tmp_path / "c")
    )
    config = replace(Config(), identity=replace(Config().identity, claims=claims))
    dra = Dra(config, poller, "n1", reachable=False, traffic=Traffic(PERIOD))

    def asked(pods: list[Pod] | None) -> Reason | None:
        """Give what is wrong with reading the claims: MISSING, if any is looked for here, where no file has one."""
        dra.follow(frames(allocations=[], pods=pods))
        poller.hurry(("claims", ""))
        poller.tick(patience=30)
        (outcome,) = board.frames().outcomes
        return outcome.trouble.reason if outcome.trouble else None

    assert asked([POD]) is Reason.MISSING
    assert asked(None) is Reason.MISSING
    assert asked([]) is None
