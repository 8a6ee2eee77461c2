# SPDX-License-Identifier: Apache-2.0
"""The source of one engine, against real HTTP servers that behave and that do not."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import EngineReport, Reason, Source, Target
from inferometer.sources.engines.scrape import Engine
from scraping import trouble

PAGE = (Path(__file__).parents[3] / "fixtures/engines/vllm/real_v0.32.0_cpu_after60.txt").read_bytes()
PATIENCE = config.Seconds(30)  # only a hang takes so long


class _Site:
    """What the server says next."""

    def __init__(self) -> None:
        self.status, self.body, self.content_type, self.zipped = 200, PAGE, "text/plain; version=1.0.0", False
        self.asked: list[dict[str, str]] = []
        self.hanging = threading.Event()
        self.endless = False


@contextmanager
def serving() -> Iterator[tuple[_Site, str]]:
    site = _Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked.append({"path": self.path, **{key.lower(): value for key, value in self.headers.items()}})
            body = gzip.compress(site.body) if site.zipped else site.body
            self.send_response(site.status)
            self.send_header("Content-Type", site.content_type)
            if site.zipped:
                self.send_header("Content-Encoding", "gzip")
            if site.endless:
                self.send_header("Content-Length", str(10**12))
                self.end_headers()
                while not site.hanging.wait(0):
                    self.wfile.write(b"a 1\n" * 4096)
                return
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            site.hanging.set()  # the client hung up, as it should

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield site, f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            site.hanging.set()
            server.shutdown()
            thread.join(5)


def engine(url: str, settings: config.Engines | None = None, **target: Any) -> closing[Engine]:
    return closing(Engine(Target("ns/pod:8000", url, **target), settings or config.Engines(deadline=PATIENCE), 5.0))


def test_a_page_becomes_a_report_of_its_target() -> None:
    """The source is what the poller expects, and reads what the engine says, plain or compressed."""
    with serving() as (site, url), engine(url, headers={"X-Tenant": "a"}) as source:
        as_source: Source[EngineReport] = source
        assert (as_source.name, as_source.instance, as_source.period) == ("engine", "ns/pod:8000", 5.0)
        assert 30.0 <= as_source.deadline <= 30.6  # the wait for its moment is part of it
        plain = source.read()
        site.zipped = True
        assert source.read() == plain
        assert (plain.engine, plain.target.url, len(plain.readings)) == ("vllm", url, 27)
        assert {reading.subject for reading in plain.readings} == {"ns/pod:8000"}
        assert [asked["x-tenant"] for asked in site.asked] == ["a", "a"]
        assert "text/plain" in site.asked[0]["accept"]
        assert "openmetrics" not in site.asked[0]["accept"]  # some rename families for who names it


@pytest.mark.parametrize(
    ("status", "reason", "remedy"),
    [
        (401, Reason.PERMISSION, "engines.credentials"),
        (403, Reason.PERMISSION, "engines.credentials"),
        (404, Reason.REJECTED, "/prometheus/metrics"),
        (500, Reason.REJECTED, "log"),
        (503, Reason.REJECTED, "log"),
    ],
)
def test_any_status_but_200_is_trouble(status: int, reason: Reason, remedy: str) -> None:
    """The message names the target and the status, the remedy what to look at; a good page afterwards is read."""
    with serving() as (site, url), engine(url) as source:
        site.status = status
        refused = trouble(source)
        assert refused.reason is reason
        assert "ns/pod:8000" in refused.message
        assert str(status) in refused.message
        assert remedy in refused.remedy
        site.status = 200
        assert source.read().engine == "vllm"


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        ("text/html", b"<html>login</html>", "HTML"),
        ("text/plain", b"\n <!doctype html>", "HTML"),
        ("application/json", b'{"detail":"no"}', "JSON"),
        ("text/plain", b"[]", "JSON"),
        ("text/plain", b"", "empty"),
        ("text/plain", PAGE[:20_000] + b'\nvllm:x{model_name="', "is no sample"),
        ("text/plain", b"\xff\xfe", "UTF-8"),
        ("application/openmetrics-text", PAGE, "cut off"),
        ("text/plain", b"a 1\na 2\n", "stands twice"),
    ],
)
def test_what_is_no_metrics_page_is_malformed_and_named(content_type: str, body: bytes, says: str) -> None:
    """The message names the target and says what was found instead."""
    with serving() as (site, url), engine(url) as source:
        site.content_type, site.body = content_type, body
        refused = trouble(source)
        assert refused.reason is Reason.MALFORMED
        assert refused.message.startswith("ns/pod:8000: ")
        assert says in refused.message


def test_sizes_are_limited_before_anything_is_read() -> None:
    """A page, a compressed page that unfolds, and a page that never ends stop at `max_page`; samples at `max_samples`."""
    small = config.Engines(max_page=config.Size(100_000), deadline=PATIENCE)
    with serving() as (site, url), engine(url, small) as source:
        site.body = b"a 1\n" * 50_000
        refused = trouble(source)
        assert refused.reason is Reason.TOO_LARGE
        assert "engines.max_page" in refused.remedy
        site.zipped = True
        assert trouble(source).reason is Reason.TOO_LARGE
        site.zipped, site.endless = False, True
        assert trouble(source).reason is Reason.TOO_LARGE
        site.endless, site.body = False, PAGE
        assert source.read().engine == "vllm"
    with serving() as (_, url), engine(url, config.Engines(max_samples=100, deadline=PATIENCE)) as source:
        assert trouble(source).reason is Reason.TOO_LARGE


def test_an_engine_that_is_gone_is_refused() -> None:
    """Nobody listens: REFUSED, and the source can be read again."""
    with serving() as (_, url):
        pass
    with engine(url) as source:
        assert trouble(source).reason is Reason.REFUSED
        assert trouble(source).reason is Reason.REFUSED
