# SPDX-License-Identifier: Apache-2.0
"""The endpoint as the configuration has it, with the way to the API server where tokens are reviewed."""

from collections.abc import Mapping
from dataclasses import replace

from inferometer.client import Client
from inferometer.config import Config, Seconds, Size
from inferometer.model import Reason, Trouble
from inferometer.server import Published, Reviews, Server, Tally
from inferometer.server.pages import Alive
from inferometer.sources.identity.apiserver import connect, server_url
from inferometer.sources.identity.traffic import Traffic

_DEADLINE = 2.0  # seconds for one question: a scrape waits for two
_MAX_BODY = 1 << 20  # bytes of an answer


def make_server(
    config: Config, environ: Mapping[str, str], published: Published, alive: Alive, tally: Tally, traffic: Traffic
) -> Server:
    """Make the server, not started. Raises Trouble for a configuration that makes no sense."""
    reviews = _reviews(config, environ, traffic) if config.server.auth.token_review else None
    return Server(config.server, published, alive, tally, reviews)


def is_moved(before: Config, after: Config) -> bool:
    """Tell whether the endpoint has to be made anew."""
    asks = after.server.auth.token_review
    return before.server != after.server or (asks and before.identity.pods != after.identity.pods)


def _reviews(config: Config, environ: Mapping[str, str], traffic: Traffic) -> Reviews:
    auth = config.server.auth
    pods = replace(
        config.identity.pods,
        deadline=Seconds(min(_DEADLINE, config.identity.pods.deadline)),
        max_body=Size(_MAX_BODY),
    )
    url = server_url(pods, environ)

    def make_client() -> Client:
        if url and not url.startswith("https:"):
            remedy = "name an https:// URL in identity.pods.server"
            raise Trouble(Reason.MALFORMED, f"{url}: a token to review is not sent in the clear", remedy)
        return connect(pods, url, traffic)

    return Reviews(make_client, url, auth.audiences, auth.cache, patience=2 * pods.deadline)
