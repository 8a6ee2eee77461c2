# SPDX-License-Identifier: Apache-2.0
"""`inferometer check` says where OTLP goes, and what keeps it from going there."""

from dataclasses import replace

import pytest

from inferometer.app import check, simulate
from inferometer.config import Config, Otlp
from inferometer.push import libraries


def told(otlp: Otlp, environ: dict[str, str]) -> list[tuple[str, str, str]]:
    with simulate(Config()) as (simulated, stand):
        findings = check(replace(simulated, otlp=otlp), environ, stand)
    return [(found.state, found.reason, found.remedy) for found in findings if found.source == "otlp"]


def test_nothing_is_said_where_nobody_pushes() -> None:
    """An output that nobody asks for is no finding."""
    assert told(Otlp(), {}) == []


def test_where_it_goes() -> None:
    """The place, the interval and the form, as the variables and the file say together."""
    environ = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}
    ((state, reason, _),) = told(Otlp(endpoint="http://user:sesame@c:4318"), environ)
    assert state == "ok"
    assert reason.startswith("the agent pushes to http://c:4318/v1/metrics every 5 s, delta, gzip")


def test_what_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library, a bad variable and a missing file are findings, each with what to do."""
    monkeypatch.setitem(libraries.SDK, "http/protobuf", "opentelemetry.not_there")
    otlp = Otlp(endpoint="https://c:4318", sender="sdk", certificate="/nowhere/ca.crt")
    found = told(otlp, {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"})
    assert [state for state, _, _ in found] == ["failed"] * 3
    assert all(remedy for _, _, remedy in found)
    text = str(found)
    assert "inferometer[otel]" in text
    assert "OTEL_EXPORTER_OTLP_TIMEOUT" in text
    assert "/nowhere/ca.crt" in text
