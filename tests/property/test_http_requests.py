# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes a client sends, reading them ends in a request, in patience or in a refusal."""

import os

from hypothesis import given
from hypothesis import strategies as st

from inferometer import config
from inferometer.server.gate import Gate
from inferometer.server.negotiation import accepts_gzip, choose_form, has_already
from inferometer.server.passwords import read_hash
from inferometer.server.request import MAX_HEAD, Refusal, Request, take_request

# Files without an entry: nobody is known.
GATE = Gate(config.Server(auth=config.ServerAuth(tokens_file=os.devnull, users_file=os.devnull)), lambda _: None)

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


@given(st.text(max_size=100), st.from_regex(r'"[0-9a-f-]{1,20}"', fullmatch=True))
def test_any_list_of_entity_tags_has_an_answer(header: str, tag: str) -> None:
    """No If-None-Match raises, and a tag that stands in a list is found, however it is written."""
    assert has_already(header, tag) in {True, False}
    assert has_already(f'"other", W/{tag},', tag)
    assert has_already(tag, tag)
    assert not has_already(tag.strip('"'), tag)


@given(st.text(max_size=200))
def test_any_text_is_a_hash_or_none(text: str) -> None:
    """No line of a file of users raises."""
    assert read_hash(text) is None


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=300))
def test_any_credentials_are_known_or_not(value: str) -> None:
    """Whatever stands in Authorization, the gate says something, and never that it may be opened."""
    for scheme in ("", "Bearer ", "Basic "):
        denial = GATE.deny(Request("GET", "/metrics", {"authorization": scheme + value}, True), None)
        assert denial
        assert denial.status in {401, 429}
