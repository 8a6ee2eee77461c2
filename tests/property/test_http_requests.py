# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes a client sends, reading them ends in a request, in patience or in a refusal."""

from hypothesis import given
from hypothesis import strategies as st

from inferometer.server.negotiation import accepts_gzip, choose_form
from inferometer.server.request import MAX_HEAD, Refusal, take_request

pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"GET / HTTP/1.1",
            b"\r\n",
            b"\r\n\r\n",
            b"Host: a",
            b": ",
            b"\n",
            b"Content-Length: 5",
            b" ",
            b"\x00",
            b"HEAD",
            b"/metrics",
        ]
    ),
)


@given(st.lists(pieces, max_size=30).map(b"".join))
def test_any_bytes_become_a_request_or_a_refusal(data: bytes) -> None:
    """No input raises anything but a refusal, and a refusal's status is one of HTTP's own."""
    buffer = bytearray(data)
    try:
        while (request := take_request(buffer)) is not None:
            assert request.path
            assert all(name == name.lower() for name in request.headers)
    except Refusal as refusal:
        assert refusal.status in {400, 414, 431, 505}
    assert len(buffer) <= len(data)


@given(st.lists(pieces, max_size=20).map(b"".join), st.integers(0, 600))
def test_how_a_request_is_cut_into_packets_changes_nothing(data: bytes, cut: int) -> None:
    """A request that arrives in two pieces is read as the one that arrives whole."""

    def outcome(*parts: bytes) -> object:
        buffer = bytearray()
        for part in parts:
            buffer += part
            try:
                request = take_request(buffer)
            except Refusal as refusal:
                return refusal.status
            if request is not None:
                return request
        return None

    whole = outcome(data)
    if isinstance(whole, int):  # a refusal may come early, at the first byte that shows it
        assert outcome(data[:cut], data[cut:]) is not None
    else:
        assert outcome(data[:cut], data[cut:]) == whole


@given(st.integers(MAX_HEAD + 1, 3 * MAX_HEAD))
def test_an_endless_header_is_refused(size: int) -> None:
    """No client can make the buffer grow past the limit by more than one packet."""
    try:
        request = take_request(bytearray(b"GET / HTTP/1.1\r\nX: " + b"a" * size))
    except Refusal as refusal:
        assert refusal.status == 431
    else:
        raise AssertionError(request)


@given(st.text(max_size=80))
def test_any_negotiation_header_is_answered(header: str) -> None:
    """No Accept header makes the choice fail."""
    assert choose_form(header).page in {"text", "openmetrics"}
    assert accepts_gzip(header) in {True, False}
