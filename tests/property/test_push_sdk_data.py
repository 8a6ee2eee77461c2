# SPDX-License-Identifier: Apache-2.0
"""What the SDK's encoder makes of a snapshot is what ours does, for all that the SDK can say."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics  # noqa: TID251  # the oracle
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: TID251  # oracle

from example import SNAPSHOT
from inferometer.model import Snapshot
from inferometer.push.sdk_data import as_metrics_data
from inferometer.push.temporality import DELTAS, Preference
from inferometer.views.otlp import Encoder
from oracles import data_points, parsed
from snapshots import snapshots


def without_what_the_sdk_leaves_out(request: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest:
    """Take the starts of gauges away, and of exemplars the one identity where the other is not known."""
    for block in request.resource_metrics:
        for metric in block.scope_metrics[0].metrics:
            for exemplar in (each for point in data_points(metric) for each in point.exemplars):
                if not (exemplar.trace_id and exemplar.span_id):
                    exemplar.ClearField("trace_id")
                    exemplar.ClearField("span_id")
            if metric.HasField("gauge"):
                for point in data_points(metric):
                    point.ClearField("start_time_unix_nano")
    return request


@given(snapshots(), st.sampled_from(Preference), st.sampled_from([2_000, 1 << 30]))
def test_both_encoders_say_the_same(snapshot: Snapshot, preference: Preference, max_bytes: int) -> None:
    """Each request, through the SDK's data classes and its encoder, is the same message, cumulative or delta."""
    for body in Encoder().requests(snapshot, max_bytes=max_bytes, deltas=DELTAS[preference]):
        theirs = encode_metrics(as_metrics_data(body))
        assert theirs == without_what_the_sdk_leaves_out(parsed(body))


def test_exemplars_are_kept() -> None:
    """With their time, value, attributes and both identities, or with neither."""
    (body,) = Encoder().requests(SNAPSHOT, max_bytes=1 << 30)
    request = without_what_the_sdk_leaves_out(parsed(body))
    for metric in (m for block in request.resource_metrics for m in block.scope_metrics[0].metrics):
        for point in data_points(metric):
            plain = point.exemplars.add(time_unix_nano=7, as_double=0.5)
            plain.filtered_attributes.add(key="k").value.string_value = "v"
            point.exemplars.add(time_unix_nano=8, as_double=1.5, span_id=b"12345678", trace_id=b"1234567890abcdef")
    assert encode_metrics(as_metrics_data(request.SerializeToString())) == request


@given(snapshots(), snapshots())
def test_marks_are_left_out_and_nothing_else(snapshot: Snapshot, before: Snapshot) -> None:
    """Of a request with marks the points with values are left; without any there is no resource, scope or metric."""
    bodies = Encoder().requests(snapshot, max_bytes=1 << 30, ended=before.points)
    plain = Encoder().requests(snapshot, max_bytes=1 << 30)
    assert [encode_metrics(as_metrics_data(body)) for body in bodies[len(plain) :]] == [
        ExportMetricsServiceRequest() for _ in bodies[len(plain) :]
    ]
