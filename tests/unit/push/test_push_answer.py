# SPDX-License-Identifier: Apache-2.0
"""What a receiver's answers mean."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: TID251  # the oracle
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from inferometer.client import Response
from inferometer.model import Reason
from inferometer.push.answer import Verdict, judge_grpc, judge_http, judge_success, read_retry_delay

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def length_delimited(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def retry_info(duration: bytes) -> bytes:
    """Build google.rpc.Status{code: 8, details: [RetryInfo{retry_delay: duration}]}."""
    url = length_delimited(1, b"type.googleapis.com/google.rpc.RetryInfo")
    return b"\x08\x08" + length_delimited(3, url + length_delimited(2, length_delimited(1, duration)))


@pytest.mark.parametrize(
    ("status", "reason", "retry"),
    [
        (400, Reason.REJECTED, False),
        (401, Reason.PERMISSION, False),
        (403, Reason.PERMISSION, False),
        (404, Reason.REJECTED, False),
        (413, Reason.TOO_LARGE, False),
        (429, Reason.REJECTED, True),
        (500, Reason.REJECTED, False),
        (502, Reason.REJECTED, True),
        (503, Reason.REJECTED, True),
        (504, Reason.REJECTED, True),
    ],
)
def test_only_the_specified_statuses_are_worth_another_try(status: int, reason: Reason, retry: bool) -> None:
    """429, 502, 503 and 504 may pass; everything else would fail again with the same bytes."""
    verdict = judge_http(Response(status, {}, b""), NOW)
    assert (verdict.reason, verdict.retry) == (reason, retry)
    assert str(status) in verdict.message


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("7", 7.0),
        ("0", None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", None),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, wait: float | None) -> None:
    """Retry-After is read in both of its forms; nonsense, and no time at all, leave the wait to us."""
    assert judge_http(Response(503, {"retry-after": text}, b""), NOW).wait == wait


def test_a_refusal_is_quoted_in_one_short_line() -> None:
    """What the receiver says goes into the message, from a Status or plain text, bounded and without control characters."""
    status = length_delimited(2, b"no such\ntenant")
    verdict = judge_http(Response(400, {"content-type": "application/x-protobuf"}, status), NOW)
    assert verdict.message == "HTTP 400: no such tenant"
    verdict = judge_http(Response(400, {"content-type": "text/plain; charset=utf-8"}, b"\x1b[31m" + b"x" * 999), NOW)
    assert verdict.message.startswith("HTTP 400: [31mxxx")
    assert len(verdict.message) < 250
    assert judge_http(Response(400, {"content-type": "text/html"}, b"<html>"), NOW).message == "HTTP 400"


def test_partial_success_is_read_as_the_protocol_defines_it() -> None:
    """The count and the message of a partial success are what opentelemetry-proto wrote."""
    partial = ExportMetricsPartialSuccess(rejected_data_points=70_000, error_message="too old: é")
    body = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    assert judge_success(body) == Verdict(None, "too old: é", rejected=70_000)
    assert judge_success(ExportMetricsServiceResponse().SerializeToString()) == Verdict(None)
    assert judge_http(Response(202, {}, body), NOW).rejected == 70_000


@pytest.mark.parametrize("body", [b"<html>ok</html>", b'{"partialSuccess":{}}', b"\xff" * 20, b"\x0a\x7f", b"\x0b\x0c"])
def test_a_success_with_a_strange_body_is_a_success(body: bytes) -> None:
    """The status decides: whatever a gateway writes under a 200, the data are taken."""
    assert judge_http(Response(200, {}, body), NOW) == Verdict(None)


def test_a_retry_delay_is_found_in_the_status_details() -> None:
    """RetryInfo's duration is seconds and nanoseconds; without one there is no delay, with an empty one it is zero."""
    assert read_retry_delay(retry_info(b"\x08\x02\x10" + bytes([0x80, 0xCA, 0xB5, 0xEE, 0x01]))) == 2.5
    assert read_retry_delay(retry_info(b"")) == 0.0
    assert read_retry_delay(b"") is None
    assert read_retry_delay(b"\x08\x08" + length_delimited(3, length_delimited(1, b"x/google.rpc.ErrorInfo"))) is None
    assert read_retry_delay(b"\xff\xff\xff") is None


# --- gRPC ---

SOON = retry_info(b"\x08\x02")


@pytest.mark.parametrize(
    ("code", "reason", "retry"),
    [
        ("CANCELLED", Reason.REFUSED, True),
        ("UNKNOWN", Reason.REJECTED, False),
        ("INVALID_ARGUMENT", Reason.REJECTED, False),
        ("DEADLINE_EXCEEDED", Reason.TIMEOUT, True),
        ("NOT_FOUND", Reason.REJECTED, False),
        ("ALREADY_EXISTS", Reason.REJECTED, False),
        ("PERMISSION_DENIED", Reason.PERMISSION, False),
        ("UNAUTHENTICATED", Reason.PERMISSION, False),
        ("FAILED_PRECONDITION", Reason.REJECTED, False),
        ("ABORTED", Reason.REJECTED, True),
        ("OUT_OF_RANGE", Reason.REJECTED, True),
        ("UNIMPLEMENTED", Reason.UNSUPPORTED, False),
        ("INTERNAL", Reason.REJECTED, False),
        ("UNAVAILABLE", Reason.REFUSED, True),
        ("DATA_LOSS", Reason.REJECTED, True),
    ],
)
def test_the_table_of_grpc_codes(code: str, reason: Reason, retry: bool) -> None:
    """Every code is retried or not as the specification's table says, and waits as long as a RetryInfo asks for."""
    verdict = judge_grpc(code, "no", b"")
    assert (verdict.reason, verdict.retry, verdict.wait) == (reason, retry, None)
    assert verdict.message == f"{code}: no"
    assert judge_grpc(code, "no", SOON).wait == 2.0


@pytest.mark.parametrize(
    ("text", "status", "reason", "retry", "wait"),
    [
        ("busy", SOON, Reason.REJECTED, True, 2.0),
        ("busy", retry_info(b""), Reason.REJECTED, True, None),
        ("grpc: received message larger than max (5000000 vs. 4194304)", b"", Reason.TOO_LARGE, False, None),
        ("gRPC message exceeds maximum size 4194304: 5000000", b"", Reason.TOO_LARGE, False, None),
        ("SERVER: Received message larger than max (9 vs. 5)", b"", Reason.TOO_LARGE, False, None),
        ("Stream removed (CLIENT: Received message larger than max (9 vs. 5))", b"", Reason.MALFORMED, False, None),
        ("", b"", Reason.TOO_LARGE, False, None),
        ("rate limit exceeded for tenant blue", b"", Reason.REJECTED, False, None),
        ("quota used up", b"", Reason.REJECTED, False, None),
    ],
)
def test_resource_exhausted_is_overload_or_size(
    text: str, status: bytes, reason: Reason, retry: bool, wait: float | None
) -> None:
    """With a RetryInfo it passes; without one it is the size, unless it speaks of a quota, which does not pass."""
    verdict = judge_grpc("RESOURCE_EXHAUSTED", text, status)
    assert (verdict.reason, verdict.retry, verdict.wait) == (reason, retry, wait)


def test_out_of_range_may_be_the_size() -> None:
    """Servers written in Rust answer a large message so; to repeat it would be in vain."""
    text = "Error, message length too large: found 5000000 bytes, the limit is: 4194304 bytes"
    assert judge_grpc("OUT_OF_RANGE", text, b"") == Verdict(Reason.TOO_LARGE, f"OUT_OF_RANGE: {text}")


def test_numbers_below_zero_are_nothing() -> None:
    """A negative count of rejected points and a negative delay are no answers."""
    minus_one = b"\xff" * 9 + b"\x01"
    assert judge_success(length_delimited(1, b"\x08" + minus_one)) == Verdict(None)
    assert read_retry_delay(retry_info(b"\x08" + minus_one)) == 0.0
