# SPDX-License-Identifier: Apache-2.0
"""The answers of a capture, by what was asked: which one holds in which round."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from inferometer.sources.devices.captures.shapes import Json

FIELDS = "nvmlDeviceGetFieldValues"
METRICS = "nvmlGpmMetricsGet"

Answer = dict[str, Json]
_by_round = itemgetter(0)


class Answers:
    """An index of the lines of a capture; remembers what it has given. Not for two threads at once."""

    def __init__(self, lines: Iterable[dict[str, Any]]) -> None:
        self.calls: set[str] = set()
        self._times: list[float] = []
        self._answers: dict[str, list[tuple[int, Answer]]] = {}
        self._given: dict[str, int] = {}  # question -> the position behind the last answer that was given
        for line in lines:
            if "round" in line:
                self._times.append(float(line["t"]))
                continue
            number = max(0, len(self._times) - 1)  # what comes before the first round belongs to it
            self.calls.add(line["call"])
            for question, answer in _take_apart(line):
                self._answers.setdefault(question, []).append((number, answer))

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return len(self._times)

    def round_at(self, seconds: float) -> int:
        """Give the round that had begun at a time; the last one for ever."""
        return max(0, bisect_right(self._times, seconds) - 1)

    def find(self, call: str, ask: Sequence[Json], number: int) -> Answer | None:
        """Give the answer to a question: of this round, in their order, the last one of them again; else of the last round before.

        What was asked only later is answered as it was then: who asks now may ask earlier.
        """
        question = _question(call, ask)
        known = self._answers.get(question)
        if not known:
            return None
        low, high = bisect_left(known, number, key=_by_round), bisect_right(known, number, key=_by_round)
        if low == high:
            return known[max(0, low - 1)][1]
        position = min(max(self._given.get(question, low), low), high - 1)
        self._given[question] = position + 1
        return known[position][1]

    def take(self, call: str, ask: Sequence[Json], number: int) -> Answer | None:
        """Give the next answer up to this round, each successful one once, even if its round was passed over."""
        question = _question(call, ask)
        known = self._answers.get(question, [])
        position, end = self._given.get(question, 0), bisect_right(known, number, key=_by_round)
        while position < end and "answer" not in known[position][1]:
            position += 1
        if position < end:
            self._given[question] = position + 1
            return known[position][1]
        self._given[question] = position
        last = known[end - 1][1] if end else None
        return last if last and "answer" not in last else None


def _question(call: str, ask: Sequence[Json]) -> str:
    return json.dumps([call, ask], sort_keys=True)


def _take_apart(line: dict[str, Any]) -> Iterator[tuple[str, Answer]]:
    """Give a line's questions and answers. A call for many fields or GPM metrics is many, and one without values for itself."""
    call, ask = line["call"], line["ask"]
    answer = {key: value for key, value in line.items() if key not in ("call", "ask")}
    if call == FIELDS:
        yield _question(call, ask), {**answer, "answer": None} if "answer" in answer else answer
        for value in next(iter(answer.get("answer", {"": []}).values())):
            yield _question(call, [ask[0], value.get("fieldId", 0), value.get("scopeId", 0)]), {"answer": value}
    elif call == METRICS:
        filled = answer.pop("filled", {})
        yield _question(call, ask), answer
        for held in (next(iter(argument.values())) for argument in filled.values()):
            for value in held.get("metrics", [])[: held.get("numMetrics", 0)]:
                yield _question(call, [held.get("sample2"), value.get("metricId", 0)]), {"answer": value}
    else:
        yield _question(call, ask), answer
