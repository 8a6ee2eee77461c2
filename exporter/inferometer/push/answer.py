# SPDX-License-Identifier: Apache-2.0
"""What a receiver's answer means: done, partly refused, worth another try, or not (OTLP specification 1.9, "Failures")."""

import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from inferometer.client import Response
from inferometer.model import Reason
from inferometer.proto.reading import fields

_RETRYABLE = frozenset({429, 502, 503, 504})
_DENIED = frozenset({401, 403})

# The specification's table for OTLP/gRPC: what a client should retry. RESOURCE_EXHAUSTED only with a RetryInfo.
_PASSING = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
_REASONS = {
    "DEADLINE_EXCEEDED": Reason.TIMEOUT,
    "CANCELLED": Reason.REFUSED,
    "UNAVAILABLE": Reason.REFUSED,
    "PERMISSION_DENIED": Reason.PERMISSION,
    "UNAUTHENTICATED": Reason.PERMISSION,
    "UNIMPLEMENTED": Reason.UNSUPPORTED,
}
# How servers word their limit of a message: C++ and Go "larger than max", Java "exceeds maximum size", Rust (tonic, which
# says OUT_OF_RANGE) "message length too large".
_SIZE = re.compile(
    r"larger than max|too large|exceeds (the )?max|maximum (message )?size|message (size|length)", re.IGNORECASE
)
_QUOTA = re.compile(r"quota|\brate\b|throttl|too many|memory|queue|busy|overload", re.IGNORECASE)
# What is wrong with a handshake stands at the end of what gRPC says of it, after 200 characters of where.
_TLS = re.compile(r"SSL routines:OPENSSL_internal:([^\n;\]})]+)")
_NEGATIVE = 1 << 63  # an int64 below zero, as a varint
_LONGEST_SECONDS = 315_576_000_000  # of a google.protobuf.Duration


class Verdict(NamedTuple):
    """How one request ended.

    `reason` is None where the receiver took it. `retry` says whether the same bytes may succeed later, and `wait` how
    many seconds the receiver asks for: above 0, without a bound, and None where it leaves that to the sender. TOO_LARGE
    means that the request is: smaller ones may be taken. `rejected` counts the points that it took the request without,
    as it says: a receiver may say anything.
    """

    reason: Reason | None
    message: str = ""
    retry: bool = False
    wait: float | None = None
    rejected: int = 0


def judge_http(response: Response, now: float) -> Verdict:
    """Judge the answer of /v1/metrics. `now` is Unix seconds, for a Retry-After that is a date."""
    status = response.status
    if 200 <= status < 300:
        return judge_success(response.body)
    message = f"HTTP {status}"
    if text := read_status_message(response):
        message += f": {text}"
    if status == 413:
        return Verdict(Reason.TOO_LARGE, message)
    if status in _DENIED:
        return Verdict(Reason.PERMISSION, message)
    return Verdict(Reason.REJECTED, message, status in _RETRYABLE, _retry_after(response.headers, now))


def judge_success(body: bytes) -> Verdict:
    """Read an ExportMetricsServiceResponse: partial_success = 1 {rejected_data_points = 1, error_message = 2}."""
    rejected, message = 0, ""
    try:
        for number, partial in fields(body):
            if number == 1 and isinstance(partial, bytes):
                for inner, value in fields(partial):
                    if inner == 1 and isinstance(value, int):
                        rejected = value if value < _NEGATIVE else 0
                    elif inner == 2 and isinstance(value, bytes):
                        message = _text(value)
    except ValueError:
        return Verdict(None)  # a 200 with something else in it: some gateways answer with a page; the data are taken
    return Verdict(None, message, rejected=rejected)


def judge_grpc(code: str, text: str, status: bytes) -> Verdict:
    """Judge a gRPC failure: the name of its code, what it says, and the bytes of `grpc-status-details-bin`."""
    handshake = _TLS.search(text)
    message = f"{code}: {_text((f'TLS: {handshake[1]}' if handshake else text).encode('utf-8', 'replace'))}"
    delay = read_retry_delay(status)
    wait = delay or None
    if code == "RESOURCE_EXHAUSTED":
        if "CLIENT: Received message larger" in text:  # gRPC's own core: the answer was larger than we take
            return Verdict(Reason.MALFORMED, message)
        if delay is not None:
            return Verdict(Reason.REJECTED, message, retry=True, wait=wait)
        about_size = _SIZE.search(text) or not _QUOTA.search(text)
        return Verdict(Reason.TOO_LARGE if about_size else Reason.REJECTED, message)
    if code == "OUT_OF_RANGE" and _SIZE.search(text):
        return Verdict(Reason.TOO_LARGE, message)
    return Verdict(_REASONS.get(code, Reason.REJECTED), message, code in _PASSING, wait)


def read_status_message(response: Response) -> str:
    """Read `message` = 2 of the google.rpc.Status that a refusing receiver sends, or a short plain text."""
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/x-protobuf"):
        try:
            return next((_text(v) for n, v in fields(response.body) if n == 2 and isinstance(v, bytes)), "")
        except ValueError:
            return ""
    return _text(response.body) if kind.startswith("text/plain") else ""


def read_retry_delay(status: bytes) -> float | None:
    """Find google.rpc.RetryInfo in the bytes of `grpc-status-details-bin`; seconds, or None.

    Status{details = 3}, Any{type_url = 1, value = 2}, RetryInfo{retry_delay = 1}, Duration{seconds = 1, nanos = 2}.
    """
    try:
        for detail in _messages(status, 3):
            packed = dict(fields(detail))
            url, value = packed.get(1), packed.get(2)
            if isinstance(url, bytes) and url.endswith(b"/google.rpc.RetryInfo"):
                for delay in _messages(value if isinstance(value, bytes) else b"", 1):
                    parts = dict(fields(delay))
                    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
                    if isinstance(seconds, int) and isinstance(nanos, int):
                        return seconds + nanos / 1e9 if max(seconds, nanos) <= _LONGEST_SECONDS else 0.0
                return 0.0
    except ValueError:
        pass
    return None


def _messages(message: bytes, wanted: int) -> Iterator[bytes]:
    return (value for number, value in fields(message) if number == wanted and isinstance(value, bytes))


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110 section 10.2.3). None where it asks for no wait."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text) or None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now) or None
    except (ValueError, OverflowError):
        return None


def _text(value: bytes) -> str:
    """Make what a peer wrote fit for one line of a log."""
    text = value[:400].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
