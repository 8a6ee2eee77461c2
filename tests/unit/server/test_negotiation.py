# SPDX-License-Identifier: Apache-2.0
"""Which form a client gets, for the Accept headers that real scrapers send and for the awkward ones."""

import pytest

from inferometer.server.negotiation import OPENMETRICS, TEXT, TEXT_1, Form, accepts_gzip, choose_form

PROMETHEUS_3 = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        (BROWSER, TEXT),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"; charset=utf-8', OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0, text/plain;version=1.0.0;q=0.3", TEXT_1),
        ("application/openmetrics-text;version=1.0.0;q=0.2, text/plain;version=0.0.4;q=0.7", TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT_1),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain", TEXT),
        ("text/*;q=0.4, application/openmetrics-text;q=0.3", TEXT),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=nan, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=7", TEXT),
        ("application/openmetrics-text;q=one", TEXT),
        ("application/json", TEXT),
        (";;;,,,=;q", TEXT),
    ],
)
def test_accept_chooses_the_form(accept: str, form: Form) -> None:
    """The best q-value that can be served wins, the first of equals; whoever accepts nothing of ours gets text."""
    assert choose_form(accept) is form


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values"])
def test_the_escaping_that_a_client_allows_changes_nothing(escaping: str) -> None:
    """The names of series never depend on who scrapes: every client is answered with underscores."""
    assert choose_form(f"application/openmetrics-text;version=1.0.0;escaping={escaping}") is OPENMETRICS
    assert "escaping=underscores" in OPENMETRICS.content_type


@pytest.mark.parametrize(
    ("accept_encoding", "answer"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate", False),
        ("identity", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity;q=0.9", False),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("gzip;q=nonsense", False),
    ],
)
def test_accept_encoding_decides_on_gzip(accept_encoding: str, answer: bool) -> None:
    """A page is compressed exactly for a client that takes gzip and does not prefer the plain page."""
    assert accepts_gzip(accept_encoding) is answer
