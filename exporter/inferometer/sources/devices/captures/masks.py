# SPDX-License-Identifier: Apache-2.0
"""What identifies somebody, and how a capture hides it: one table of rules, applied before anything is written.

While it is recorded, what is hidden is written as a token, `<uuid 9f86d081884c7d65>`: a keyed digest, whose key exists in
memory only. When the recording ends the tokens are numbered in the order of their appearance, and the digests are gone:
the same input has the same number everywhere in a capture, and nobody can tell from it what the input was.
"""

import hashlib
import re
from collections import Counter
from typing import NamedTuple


class Mask(NamedTuple):
    """What is hidden: `where` is sought in `call.member` or `call(argument)`, in small letters."""

    kind: str
    where: str
    why: str


MASKS = (
    Mask(
        "secret", r"attestation|certificate|certchain|nonce|opaquedata", "signed or opaque: what is inside is unknown"
    ),
    Mask("pid", r"[.(]pid\b|pids$", "a process"),
    Mask("process", r"processname", "a program that somebody runs, with its path"),
    Mask("host", r"hostname", "the node"),
    Mask("serial", r"serial", "the board, the chassis"),
    Mask("guid", r"guid|getpdi|clusteruuid", "InfiniBand and device identifiers, the NVLink domain"),
    Mask("machine", r"vmid|mdev", "a virtual machine"),
)
UUID = r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"

# Texts that say nothing about a unit; every other text is hidden, whatever call of tomorrow gives it.
_HARMLESS = (
    r"(getname|\.name|productname|shortname|longname|unit|typename|typegetname|getclass|boardpartnumber|errorstring"
    r"|perfmodes\.str|currentclockfreqs\.str|license|licenseinfo|sourcemodule|branch|getuuid|\.uuid|\.str)$"
    r"|version|pci|busid"
)
# The highest process id that the kernel takes (PID_MAX_LIMIT). Masked ones go down from here: where a capture is replayed,
# hardly a process of that machine has one.
_HIGHEST_PID = 1 << 22
_TOKEN = re.compile(r"<(?P<kind>[a-z]+) (?P<digest>[0-9a-f]{16})(?: (?P<length>\d+))?>")
_NUMBER_TOKEN = re.compile(r'"<(?P<kind>pid|number) (?P<digest>[0-9a-f]{16})>"')
_UUID = re.compile(UUID)


def kind(where: str) -> str:
    """Give what a place holds that must be hidden; empty where a mask has no say."""
    small = where.lower()
    return next((mask.kind for mask in MASKS if re.search(mask.where, small)), "")


class Masker:
    """Makes tokens. Equal inputs get equal tokens, in every process that has the same key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._kinds: dict[str, str] = {}
        self._harmless: dict[str, bool] = {}

    def text(self, where: str, text: str) -> str:
        """Hide a text, or the UUIDs in it; what identifies nothing (no digit or letter but zeros, `N/A`) stays."""
        if not text.strip("0- ") or text in ("N/A", "Unknown"):
            return text
        if hidden := self._kind(where):
            return self._token("text" if hidden == "pid" else hidden, text.encode(), len(text))
        harmless = self._harmless.get(where)
        if harmless is None:
            harmless = self._harmless[where] = bool(re.search(_HARMLESS, where.lower()))
        found = _UUID.sub(lambda uuid: self._token("uuid", uuid[0].lower().encode()), text)
        return found if harmless or found != text else self._token("text", text.encode())

    def number(self, where: str, number: float) -> float | str:
        """Hide a number where a rule says so; 0 stays."""
        hidden = self._kind(where) if number else ""
        if not hidden:
            return number
        return self._token("pid" if hidden == "pid" else "number", repr(number).encode())

    def data(self, where: str, data: bytes) -> str:
        """Hide bytes: nobody knows what is in them."""
        if not data.strip(b"\0"):
            return data.hex()
        if self._kind(where) == "secret":
            return ""
        return self._token("guid", data, 2 * len(data))

    def _kind(self, where: str) -> str:
        found = self._kinds.get(where)
        if found is None:
            found = self._kinds[where] = kind(where)
        return found

    def _token(self, kind: str, what: bytes, length: int = 0) -> str:
        digest = hashlib.blake2b(kind.encode() + b" " + what, key=self._key, digest_size=8).hexdigest()
        return f"<{kind} {digest}{f' {length}' if length else ''}>"


class Numbering:
    """Puts numbers for tokens, of the shape of what they hide."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._last: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """How many different things of each kind were hidden."""
        return dict(sorted(self._last.items()))

    def apply(self, line: str) -> str:
        """Number the tokens of a line of JSON."""
        line = _NUMBER_TOKEN.sub(self._plain_number, line)
        return _TOKEN.sub(self._shape, line)

    def _number(self, token: re.Match[str]) -> int:
        place = token["kind"], token["digest"]
        if place not in self._numbers:
            self._last[place[0]] += 1
            self._numbers[place] = self._last[place[0]]
        return self._numbers[place]

    def _plain_number(self, token: re.Match[str]) -> str:
        number = self._number(token)
        return str(_HIGHEST_PID + 1 - number if token["kind"] == "pid" else number)

    def _shape(self, token: re.Match[str]) -> str:
        number, kind, length = self._number(token), token["kind"], int(token["length"] or 0)
        if kind == "uuid":
            return f"00000000-0000-0000-0000-{number:012x}"
        if kind == "guid":
            return f"{number:0{length}x}"
        return f"{number:0{length}d}" if kind == "serial" else f"{kind}-{number}"
