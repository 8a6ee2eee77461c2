# SPDX-License-Identifier: Apache-2.0
"""What the client of an engine knows of its own requests: the truth that the exporter's numbers are held against."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

Outcome = Literal["finished", "aborted", "refused"]


class Exchange(NamedTuple):
    """One request as its client saw it. Times are seconds from before its connection.

    `prompt` and `completion` are tokens: by the engine's own usage where the request finished; where the client hung up,
    what it had sent and had read until then. `limit` is the most completion tokens that it asked for. `sequences` is how
    many answers it asked for (`n`); `completion` and `limit` are of all of them. `first` is when the first token came, None
    where none did or the answer came whole. `whole` is when it was over.
    """

    outcome: Outcome
    prompt: int
    completion: int
    limit: int
    sequences: int
    first: float | None
    whole: float


class Ledger(NamedTuple):
    """All that was asked of an engine since it was started. `engine` and `options` say which and how."""

    engine: str
    options: tuple[str, ...]
    exchanges: tuple[Exchange, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        saved = json.loads(path.read_text(encoding="utf-8"))
        return cls(saved["engine"], tuple(saved["options"]), tuple(Exchange(**each) for each in saved["exchanges"]))

    def save(self, path: Path) -> None:
        """Write it as JSON, an exchange on each line."""
        lines = ",\n".join(f"  {json.dumps(_rounded(each)._asdict())}" for each in self.exchanges)
        head = f'"engine": {json.dumps(self.engine)},\n "options": {json.dumps(self.options)}'
        path.write_text(f'{{\n {head},\n "exchanges": [\n{lines}\n ]\n}}\n', encoding="utf-8")

    @property
    def finished(self) -> Sequence[Exchange]:
        """The requests that were answered to their end."""
        return [each for each in self.exchanges if each.outcome == "finished"]

    @property
    def begun(self) -> Sequence[Exchange]:
        """The requests whose client hung up after the first token: the engine must have counted that token."""
        return [each for each in self.exchanges if each.outcome == "aborted" and each.first is not None]

    @property
    def unseen(self) -> Sequence[Exchange]:
        """The requests whose client hung up before it saw a token: the engine may have got anywhere with them."""
        return [each for each in self.exchanges if each.outcome == "aborted" and each.first is None]


def sequences(exchanges: Iterable[Exchange]) -> int:
    """Count the answers that were asked for: engines count each as a request."""
    return sum(each.sequences for each in exchanges)


def _rounded(each: Exchange) -> Exchange:
    """Keep microseconds, rounded up so that what was a bound of the engine's own time still is one."""
    first = None if each.first is None else _up(each.first)
    return each._replace(first=first, whole=_up(each.whole))


def _up(seconds: float) -> float:
    return round(seconds + 5e-7, 6)
