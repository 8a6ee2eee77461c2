# SPDX-License-Identifier: Apache-2.0
"""Whatever a receiver answers, it is judged, and what the protocol's own library writes is read as it meant it."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # the oracle
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from inferometer import config
from inferometer.client import Response
from inferometer.model import Reason
from inferometer.push import resolve, resource_attributes
from inferometer.push.answer import judge_grpc, judge_http, judge_success, read_retry_delay

KINDS = st.sampled_from(["application/x-protobuf", "text/plain", "text/html", ""])
VARIABLES = st.sampled_from(
    [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        "OTEL_SDK_DISABLED",
        "OTEL_EXPORTER_OTLP_INSECURE",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_METRICS_EXPORTER",
        "OTEL_RESOURCE_ATTRIBUTES",
    ]
)
VALUES = st.one_of(
    st.text(max_size=30), st.sampled_from(["grpc", "http://a:1/b", "a=b,c=%20", "none", "true", "unix:x", "a:1"])
)


@given(st.integers(100, 599), st.binary(max_size=60), st.text(max_size=30), KINDS)
def test_any_answer_is_judged(status: int, body: bytes, retry_after: str, kind: str) -> None:
    """No answer makes the judgement fail; success is exactly 2xx, and only a failure is ever retried."""
    verdict = judge_http(Response(status, {"retry-after": retry_after, "content-type": kind}, body), 0.0)
    assert (verdict.reason is None) == (200 <= status < 300)
    assert not (verdict.retry and verdict.reason is None)
    assert verdict.message.isprintable()
    wait = read_retry_delay(body)
    assert wait is None or wait >= 0


@given(st.text(max_size=20), st.text(max_size=300), st.binary(max_size=60))
def test_any_grpc_failure_is_judged(code: str, text: str, status: bytes) -> None:
    """No code, no words and no details make the judgement fail; it is always a failure, and a wait is above nothing."""
    verdict = judge_grpc(code, text, status)
    assert verdict.reason is not None
    assert verdict.wait is None or verdict.wait > 0
    assert len(verdict.message) < 300


@given(st.integers(0, 2**63 - 1), st.text(max_size=20))
def test_partial_success_survives_the_wire(rejected: int, text: str) -> None:
    """Every count that the protocol can carry is read back equal."""
    partial = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=text)
    assert judge_success(ExportMetricsServiceResponse(partial_success=partial).SerializeToString()).rejected == rejected


@given(st.dictionaries(VARIABLES, VALUES))
def test_any_environment_is_resolved(environ: dict[str, str]) -> None:
    """No environment makes the start fail: what cannot be used is named, and what is left can be used."""
    settings, troubles = resolve(config.Otlp(), environ)
    if settings is not None:
        assert settings.target
        assert settings.interval > 0
        assert settings.timeout > 0
    for trouble in troubles:
        assert trouble.reason in {Reason.MALFORMED, Reason.UNSUPPORTED}
        assert "OTEL_" in trouble.message
    assert all(resource_attributes(environ))
