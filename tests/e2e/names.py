# SPDX-License-Identifier: Apache-2.0
"""Stands for a cluster's DNS: answers for Services without an address of their own with the addresses of their pods.

    python names.py ADDRESS API CA TOKEN

listens to UDP port 53 of ADDRESS. NAME.NAMESPACE.svc and what follows it is asked of the API server; all else does not exist
(RFC 1035).
"""

import contextlib
import json
import socket
import ssl
import struct
import sys
import urllib.request

_A, _IN = 1, 1  # type and class
_ANSWER, _NO_SUCH_NAME = 0x8580, 0x8583  # with authority, and with recursion, which is asked for


def addresses(api: str, trust: ssl.SSLContext, token: str, name: str, namespace: str) -> list[str]:
    """Give the ready addresses of a Service."""
    selector = f"kubernetes.io/service-name={name}"
    url = f"{api}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector={selector}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=5, context=trust) as answer:
        slices = json.load(answer)["items"]
    endpoints = [endpoint for found in slices for endpoint in found.get("endpoints") or ()]
    return [address for e in endpoints if e.get("conditions", {}).get("ready") for address in e["addresses"]]


def labels_of(query: bytes) -> list[str]:
    """Give the labels of the name that is asked for."""
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode("ascii"))
        at += 1 + size
    return labels


def answer(query: bytes, found: list[str]) -> bytes:
    """Answer a query with addresses; none is the answer to any type but A."""
    labels = labels_of(query)
    question = query[12 : 12 + sum(len(label) + 1 for label in labels) + 5]
    asked = struct.unpack(">H", question[-4:-2])[0]
    records = [
        struct.pack(">HHHIH", 0xC00C, _A, _IN, 1, 4) + socket.inet_aton(address) for address in found if asked == _A
    ]
    flags = _ANSWER if found else _NO_SUCH_NAME
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def main(address: str, api: str, ca: str, token: str) -> None:
    """Serve until the end."""
    trust = ssl.create_default_context(cafile=ca)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            query, client = server.recvfrom(512)
            labels = labels_of(query)
            of_service = labels[2:3] == ["svc"]
            with contextlib.suppress(OSError):  # the API server does not answer: who asks asks again
                found = addresses(api, trust, token, labels[0], labels[1]) if of_service else []
                server.sendto(answer(query, found), client)


if __name__ == "__main__":
    main(*sys.argv[1:])
