# SPDX-License-Identifier: Apache-2.0
"""A list of pods over HTTPS, from an API server or a kubelet, and what their refusals mean."""

import json
from collections.abc import Mapping
from typing import Any

from inferometer.client import Client, Response
from inferometer.model import EMPTY, Pod, Reason, Trouble
from inferometer.sources.identity.apiserver import pause_asked
from inferometer.sources.identity.following import MOST_PODS, Busy, Following, too_many
from inferometer.sources.identity.items import read_items
from inferometer.wire import shown


def read_pod_list(
    client: Client, url: str, following: Following, grant: str, key: str, headers: Mapping[str, str] = EMPTY
) -> tuple[list[Pod], str]:
    """GET a PodList; give its pods, and its resourceVersion or "". Pods that are none are counted, and left out.

    Args:
        client: who asks.
        url: what is asked for.
        following: who counts.
        grant: what to do where it is not allowed.
        key: the configuration's name of where it was asked.
        headers: sent with the request.

    Raises:
        Trouble: as `Client.get`, and PERMISSION, REJECTED or MALFORMED.
    """
    place = shown(url.partition("?")[0]).removesuffix("/api/v1/pods")
    try:
        response = client.get(url, accept="application/json", headers=headers)
    except Trouble as trouble:
        if trouble.reason is not Reason.TOO_LARGE:
            raise
        raise Trouble(trouble.reason, trouble.message, "Raise identity.pods.max_body.") from None
    if response.status != 200:
        raise refusal(place, response.status, _status_message(response), response.headers, grant)
    body = response.body
    del response
    return _decode(body, following, place, f"see whether {key} is right")


def _decode(body: bytes, following: Following, place: str, remedy: str) -> tuple[list[Pod], str]:
    pods: list[Pod] = []
    seen = 0

    def take(raw: Any) -> None:
        nonlocal seen
        seen += 1
        if seen > MOST_PODS:
            raise too_many(place)
        if (pod := following.project(raw)) is not None:
            pods.append(pod)

    try:
        rest = read_items(body.decode(), take)
    except (ValueError, RecursionError):
        what = "HTML" if body.lstrip()[:1] == b"<" else "no JSON"
        raise Trouble(Reason.MALFORMED, f"{place}: {what} where a list of pods was asked for", remedy) from None
    metadata = rest.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else ""
    if "items" in rest or not isinstance(metadata, dict) or rest.get("kind", "PodList") != "PodList":
        raise Trouble(Reason.MALFORMED, f"{place}: JSON of another form than a list of pods", remedy)
    return pods, version if isinstance(version, str) else ""


def refusal(place: str, status: Any, message: str, headers: Mapping[str, str], grant: str) -> Trouble:
    """Say what an answer other than 200 means, and what to do. With a Retry-After it is `Busy`."""
    text = f"{place}: {status}{': ' if message else ''}{message[:300]}"
    if status == 401:
        return Trouble(Reason.PERMISSION, f"{text}: the token is not accepted", "renew identity.pods.token_file")
    if status == 403:
        return Trouble(Reason.PERMISSION, f"{text}: reading pods is not allowed", grant)
    if pause := pause_asked(status, headers):
        return Busy(text, "it asks to be left alone, and is", pause)
    return Trouble(Reason.REJECTED, text, "see the server's log")


def _status_message(response: Response) -> str:
    """Give the message of a metav1.Status, if the body is one."""
    try:
        return str(json.loads(response.body).get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""
