# SPDX-License-Identifier: Apache-2.0
"""What the exporter says of an engine, and where that is not what the engine's client knows.

The bounds that are held of an engine at rest, each with its reason:

- finished requests: exactly, each of several answers counted, as engines do;
- first tokens: those of finished requests and of clients that saw one before they hung up; at most those of all that hung up;
- tokens: exactly for finished requests; of those whose client hung up, at least what it had read (and, once it saw a
  token, its whole prompt) and at most what it had asked for;
- hung up: first tokens less finished, running and waiting, so within the bounds of these; exactly where each saw a token;
- of an engine that may finish requests whose client hung up: finished is at most all of these more, hung up at least none,
  and who finished all the same had all the tokens that it had asked for;
- latencies: the engine's time lies within its client's, so that at each of the engine's own bounds at least as many
  requests are as fast as the client saw; all together take at most as long, and at least as long less what the way
  between them may cost where a test states that; none is faster than the engine is made to be.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from live.ledger import Exchange, Ledger, sequences
from whole.pages import Page


class Names(NamedTuple):
    """The exporter's names for what is compared."""

    finished: str
    running: str
    waiting: str
    tokens: str
    first: str
    whole: str


ENGINE = Names(
    "inference_requests_finished_total",
    "inference_requests_running",
    "inference_requests_waiting",
    "inference_tokens_total",
    "gen_ai_server_time_to_first_token_seconds",
    "gen_ai_server_request_duration_seconds",
)
ROUTER = Names(
    "inference_router_requests_finished_total",
    "inference_router_requests_running",
    "inference_router_requests_waiting",
    "inference_router_tokens_total",
    "inference_router_time_to_first_token_seconds",
    "inference_router_request_duration_seconds",
)


class Times(NamedTuple):
    """A histogram: requests by the bound that they are within, the infinite one last, and their seconds together."""

    within: Mapping[float, float]
    sum: float

    @property
    def all(self) -> float:
        """All requests."""
        return self.within.get(math.inf, 0.0)


class Told(NamedTuple):
    """What the exporter says of an engine, its models and ranks added up. What it does not say is None or empty."""

    finished: Mapping[str, float]
    running: float | None
    waiting: float | None
    tokens: Mapping[str, float]
    first: Times
    whole: Times

    @classmethod
    def read(cls, page: Page, names: Names = ENGINE, **labels: str) -> Self:
        """Read the series of a page that have these labels."""
        series = [
            (name, dict(pairs), value) for (name, pairs), value in page.items() if labels.items() <= dict(pairs).items()
        ]
        return cls(
            _by(series, names.finished, "inference_finish_reason"),
            _by(series, names.running).get(""),
            _by(series, names.waiting).get(""),
            _by(series, names.tokens, "gen_ai_token_type"),
            _times(series, names.first),
            _times(series, names.whole),
        )

    @property
    def hung_up(self) -> float:
        """The requests that had a first token and are nowhere else; what finished has a duration too."""
        finished = sum(self.finished.values()) if self.finished else self.whole.all
        return self.first.all - finished - (self.running or 0.0) - (self.waiting or 0.0)


_Series = Sequence[tuple[str, Mapping[str, str], float]]


def _by(series: _Series, name: str, label: str = "") -> dict[str, float]:
    """Add up a metric's series by a label."""
    sums: dict[str, float] = {}
    for other, labels, value in series:
        if other == name:
            key = labels.get(label, "")
            sums[key] = sums.get(key, 0.0) + value
    return sums


def _times(series: _Series, name: str) -> Times:
    within = {float(le): count for le, count in _by(series, f"{name}_bucket", "le").items()}
    return Times(dict(sorted(within.items())), _by(series, f"{name}_sum").get("", 0.0))


class Bounds(NamedTuple):
    """What is particular about an engine, and how near its numbers must be besides what always holds.

    `first` and `whole` are the least seconds that it is made to take for a first token and for a request. `way` is the most
    that a request may lose between its client and the engine, in the mean; None: no such bound is held. `untold` names
    checks of what its page does not tell. `counts_all`: it counts a request whose client hung up as finished. `may_finish`:
    it may have finished such a request before it learns that the client is gone.
    """

    first: float = 0.0
    whole: float = 0.0
    way: float | None = None
    untold: Collection[str] = ()
    counts_all: bool = False
    may_finish: bool = False


PLAIN = Bounds()


def differences(told: Told, ledger: Ledger, bounds: Bounds = PLAIN) -> list[str]:
    """Say where the exporter's numbers of an engine at rest are not what its client's books allow; nothing: they agree."""
    checks = {
        "finished": _finished(told, ledger, bounds),
        "requests": _requests(told, ledger, bounds),
        "first tokens": _first_tokens(told, ledger, bounds),
        "hung up": _hung_up(told, ledger, bounds),
        "running": _between(told.running, 0, 0),
        "waiting": _between(told.waiting, 0, 0),
        "prompt tokens": _prompt_tokens(told, ledger),
        "completion tokens": _completion_tokens(told, ledger, bounds),
    }
    assert set(bounds.untold) <= checks.keys()
    return [f"{name}: {said}" for name, said in checks.items() if said and name not in bounds.untold]


def _finished(told: Told, ledger: Ledger, bounds: Bounds) -> str:
    least = sequences(ledger.finished) + (sequences(ledger.begun) if bounds.counts_all else 0)
    return _between(sum(told.finished.values()), least, _most_finished(ledger, bounds))


def _requests(told: Told, ledger: Ledger, bounds: Bounds) -> str:
    """Check how long requests took."""
    seen = [each.whole for each in _each(ledger.finished)]
    if bounds.counts_all and (ledger.begun or ledger.unseen):
        return _distribution(told.whole, seen, bounds.whole)
    least = 0.0 if bounds.way is None else sum(seen) - bounds.way * len(seen)
    # Nobody knows how long a request took that went on without its client.
    most = sum(seen) if told.whole.all == len(seen) else math.inf
    return (
        _between(told.whole.all, len(seen), _most_finished(ledger, bounds))
        or _between(told.whole.sum, least, most)
        or _distribution(told.whole, seen, bounds.whole)
    )


def _first_tokens(told: Told, ledger: Ledger, bounds: Bounds) -> str:
    """Check how many first tokens there were, and when."""
    seen = [_first(each) for each in _each([*ledger.finished, *ledger.begun])]
    return (
        _between(told.first.all, len(seen), len(seen) + sequences(ledger.unseen))
        or ("" if ledger.unseen else _between(told.first.sum, 0, sum(seen)))
        or _distribution(told.first, seen, bounds.first)
    )


def _hung_up(told: Told, ledger: Ledger, bounds: Bounds) -> str:
    if bounds.counts_all:
        return _between(told.hung_up, -sequences(ledger.unseen), 0)
    begun = sequences(ledger.begun)
    return _between(told.hung_up, 0 if bounds.may_finish else begun, begun + sequences(ledger.unseen))


def _prompt_tokens(told: Told, ledger: Ledger) -> str:
    least = sum(each.prompt * each.sequences for each in [*ledger.finished, *ledger.begun])
    return _between(told.tokens.get("input"), least, least + sum(each.prompt for each in ledger.unseen))


def _completion_tokens(told: Told, ledger: Ledger, bounds: Bounds) -> str:
    made = sum(each.completion for each in ledger.finished)
    gone = [*ledger.begun, *ledger.unseen]
    least, most = made + sum(each.completion for each in gone), made + sum(each.limit for each in gone)
    if bounds.may_finish:
        unread = sorted(each.limit - each.completion for each in gone)
        least += sum(unread[: max(0, int(told.whole.all) - sequences(ledger.finished))])
    return _between(told.tokens.get("output"), least, most)


def _most_finished(ledger: Ledger, bounds: Bounds) -> int:
    """Count the answers that the engine may have finished, whether or not their clients were still there."""
    gone = [*ledger.begun, *ledger.unseen] if bounds.counts_all or bounds.may_finish else []
    return sequences(ledger.finished) + sequences(gone)


def _each(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Repeat each as often as the engine counts it."""
    return [each for each in exchanges for _ in range(each.sequences)]


def _first(each: Exchange) -> float:
    """Give when the engine had the first token of a finished answer at the latest; of several only the last is known."""
    return each.whole if each.first is None or each.sequences > 1 else each.first


def _between(value: float | None, least: float, most: float) -> str:
    if value is None:
        return "not told"
    return "" if least <= value <= most else f"{value:g}, and the client knows {least:g} to {most:g}"


def _distribution(told: Times, seen: Sequence[float], floor: float) -> str:
    """Check that at each bound as many were as fast as the client saw, and none faster than the engine is made to be."""
    for bound, count in told.within.items():
        known = sum(1 for each in seen if each <= bound)
        if count < known:
            return f"{count:g} within {bound:g} s, and the client saw {known}"
        if bound < floor and count:
            return f"{count:g} within {bound:g} s, and the engine takes {floor:g} s at least"
    return ""
