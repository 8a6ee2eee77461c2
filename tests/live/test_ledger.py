# SPDX-License-Identifier: Apache-2.0
"""The client's books keep what they say: what was a bound stays one, and what is written is what was known."""

from pathlib import Path

from live.ledger import Exchange, Ledger, sequences

BOOKS = Ledger(
    "an engine",
    ("--option", 'with "quotes"'),
    (
        Exchange("finished", 7, 12, 12, 2, 0.123_456_789, 1.0),
        Exchange("aborted", 7, 3, 400, 1, 0.000_000_1, 0.5),
        Exchange("aborted", 7, 0, 400, 1, None, 0.01),
        Exchange("refused", 1, 0, 4, 1, None, 0.001),
    ),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """All but less than a microsecond, and that never to the engine's disadvantage."""
    BOOKS.save(tmp_path / "ledger.json")

    loaded = Ledger.load(tmp_path / "ledger.json")

    assert loaded._replace(exchanges=()) == BOOKS._replace(exchanges=())
    for ours, theirs in zip(loaded.exchanges, BOOKS.exchanges, strict=True):
        assert ours._replace(first=None, whole=0) == theirs._replace(first=None, whole=0)
        assert 0 <= ours.whole - theirs.whole <= 1e-6
        assert (ours.first is None) is (theirs.first is None)
        assert 0 <= (ours.first or 0) - (theirs.first or 0) <= 1e-6


def test_requests_are_told_apart_by_their_end() -> None:
    """Answers are counted, not requests; who hung up before a token is another than who did after."""
    assert sequences(BOOKS.finished) == 2
    assert [each.completion for each in BOOKS.begun] == [3]
    assert [each.first for each in BOOKS.unseen] == [None]
