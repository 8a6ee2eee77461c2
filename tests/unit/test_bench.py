# SPDX-License-Identifier: Apache-2.0
"""The bench measures true work and says each row, or what is missing, as one JSON object."""

import json
from collections.abc import Iterator

import pytest

from bench import dense
from bench.measure import MissingPartError, Part, Row, cpu, run
from inferometer.views.otlp import Encoder
from oracles import parsed, request, samples, translated


def test_dense_node_is_said_whole() -> None:
    """What is measured is right: the dense node's requests are the library's, and both routes have all its series."""
    encoder = Encoder()
    for snapshot in dense.snapshots(2):
        requests = [parsed(body) for body in encoder.requests(snapshot, max_bytes=1 << 30)]

        assert requests == [request(snapshot.points)]
        assert translated(requests) == samples(snapshot)
        assert len(snapshot.points) > 1_000


def test_numbers_move_and_series_do_not() -> None:
    """The snapshots that are encoded in turn have equal series, of objects of their own, and other numbers."""
    first, second = dense.snapshots(2)

    assert [(p.metric, p.attributes) for p in first.points] == [(p.metric, p.attributes) for p in second.points]
    assert all(
        p.attributes is not q.attributes for p, q in zip(first.points, second.points, strict=True) if p.attributes
    )
    assert [p.value for p in first.points] != [p.value for p in second.points]


def _part(name: str, *rows: str) -> Part:
    return Part(name, lambda: (Row(row, 0.5, "s", 2.0, "x") for row in rows))


def _missing() -> Iterator[Row]:
    raise MissingPartError("no promtool")
    yield


def test_rows_are_selected_by_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    """A prefix selects rows, and a part that none may touch is not measured; what is missing is named."""
    parts = (_part("a", "a.x", "a.y"), _part("b", "b.x"), Part("c", _missing))
    assert run(parts, ("a.y", "c")) == 1

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"name": "a.y", "value": 0.5, "unit": "s", "reference": 2.0, "ratio": 4.0, "against": "x"},
        {"name": "c", "missing": "no promtool"},
    ]
    run(parts, ())
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_cost_is_measured_for_each_work() -> None:
    """A cost is CPU seconds per call, one for each work, and every work is done."""
    done = []
    costs = cpu(lambda: done.append("a"), lambda: done.append("b"), rounds=1, least=1e-4)

    assert len(costs) == 2
    assert all(cost > 0 for cost in costs)
    assert set(done) == {"a", "b"}
