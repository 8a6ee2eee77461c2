# SPDX-License-Identifier: Apache-2.0
"""Claims from the node's own files, for an agent that may not, or cannot, ask the API server."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from inferometer import config
from inferometer.model import AllocatedClaim, Grant, Reason, Trouble
from inferometer.sources.identity.node_files import parse_cdi, parse_checkpoint, parse_state

MOST = 16 << 20  # bytes of one file; the kubelet's grows by some hundred bytes with each claim
CDI = "k8s.gpu.nvidia.com-claim_{}.yaml"  # transient specification of one claim (NVIDIA's driver, cdi.go)

T = TypeVar("T")

_NO_CLAIMS: tuple[AllocatedClaim, ...] = ()
_NO_NODES: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class _Seen(NamedTuple):
    """A file as it was when it was read, and what it said."""

    mark: tuple[int, int, int]
    value: object


class NodeClaims:
    """Reads the kubelet's state, the NVIDIA driver's checkpoint and its CDI specifications, each only when it has changed."""

    def __init__(self, settings: config.Claims) -> None:
        self._state = settings.state_file
        self._checkpoint = settings.checkpoint
        self._cdi = settings.cdi_dir
        self._seen: dict[str, _Seen] = {}

    def read(self, uids: Iterable[str]) -> tuple[AllocatedClaim, ...]:
        """Give all claims that the files know, with the device files of those of the given UIDs.

        The driver's word goes before the kubelet's: it knows of admin access and of shares. What the driver calls by UID only
        has its name from the kubelet.

        Raises:
            Trouble: of the kubelet's file, where neither can be read: MISSING, PERMISSION, TOO_LARGE or MALFORMED.
        """
        states, trouble = self._try(self._state, parse_state, _NO_CLAIMS)
        prepared, _ = self._try(self._checkpoint, parse_checkpoint, _NO_CLAIMS)
        if trouble is not None and not prepared:
            raise trouble
        claims = {claim.uid: claim for claim in states}
        for claim in prepared:
            known = claims.get(claim.uid)
            if claim.name or known is not None:
                claims[claim.uid] = claim if known is None else _merged(claim, known)
        specifications = {uid: self._nodes(uid) for uid in uids if uid in claims}
        current = {self._state, self._checkpoint, *(self._specification(uid) for uid in specifications)}
        self._seen = {path: seen for path, seen in self._seen.items() if path in current}
        return tuple(_with_nodes(claim, specifications.get(uid, _NO_NODES)) for uid, claim in sorted(claims.items()))

    def _specification(self, uid: str) -> str:
        return os.path.join(self._cdi, CDI.format(uid))  # noqa: PTH118  # asked each period; no Path object for it

    def _nodes(self, uid: str) -> Mapping[str, tuple[str, ...]]:
        if not uid.replace("-", "").isalnum():
            return _NO_NODES  # a UID of the API server's is one word; another one is no part of a path
        return self._try(self._specification(uid), parse_cdi, _NO_NODES)[0]

    def _try(self, path: str, parse: Callable[[bytes], T], nothing: T) -> tuple[T, Trouble | None]:
        try:
            return self._parsed(path, parse), None
        except Trouble as trouble:
            self._seen.pop(path, None)
            return nothing, trouble.bare()

    def _parsed(self, path: str, parse: Callable[[bytes], T]) -> T:
        """Read a file, unless it is the one that was read before. Raises Trouble, which names it."""
        remedy = "mount it read-only, or grant the right to get resourceclaims"
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise Trouble(Reason.MISSING, f"{path}: not a file", remedy)
                mark = (found.st_ino, found.st_mtime_ns, found.st_size)
                seen = self._seen.get(path)
                if seen is not None and seen.mark == mark:
                    return seen.value  # type: ignore[return-value]  # one path is always parsed by the same function
                content = file.read(MOST + 1)
        except PermissionError:
            raise Trouble(Reason.PERMISSION, f"{path}: not readable", "run as root") from None
        except OSError as error:
            raise Trouble(Reason.MISSING, f"{path}: {error.strerror or 'no such file'}", remedy) from None
        except ValueError:  # "embedded null byte"
            raise Trouble(Reason.MISSING, f"{path!r}: no path", "correct identity.claims") from None
        if len(content) > MOST:
            raise Trouble(Reason.TOO_LARGE, f"{path}: larger than {MOST} bytes", "report it")
        try:
            value = parse(content)
        except ValueError as error:
            remedy = "report it with the versions of Kubernetes and of the driver"
            raise Trouble(Reason.MALFORMED, f"{path}: {error}", remedy) from None
        self._seen[path] = _Seen(mark, value)
        return value


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO must not hold us up


def _merged(prepared: AllocatedClaim, known: AllocatedClaim) -> AllocatedClaim:
    """Name what the driver prepared as the kubelet does, if need be.

    A status without grants is no news of what the kubelet knows was prepared, by other drivers too.
    """
    if not prepared.grants:
        return known
    return prepared if prepared.name else replace(prepared, namespace=known.namespace, name=known.name)


def _with_nodes(claim: AllocatedClaim, nodes: Mapping[str, tuple[str, ...]]) -> AllocatedClaim:
    if not nodes:
        return claim
    grants: tuple[Grant, ...] = tuple(replace(grant, nodes=nodes.get(grant.device, ())) for grant in claim.grants)
    return replace(claim, grants=grants)
