# SPDX-License-Identifier: Apache-2.0
"""The grammar of one sample line: where its value begins, its name and labels, its value."""

import re

# A sample is `name{labels} value [timestamp] [# exemplar]`. Label values may hold anything, `}` and `#` too, with `\"`,
# `\\` and `\n` escaped. Possessive quantifiers: no input makes these patterns backtrack.
# Source: prometheus/docs exposition_formats.md; OpenMetrics 1.0 ABNF. A name may stand quoted inside the braces
# (`{"my.name",a="b"} 1`, Prometheus 3).
_KEY = re.compile(
    r'[ \t]*+(?:([a-zA-Z_:][a-zA-Z0-9_:]*+)(?:[ \t]*+\{((?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+)\}|[ \t]++)|\{((?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+)\})',
    re.DOTALL,
)
_LABEL = re.compile(
    r'[ \t]*+(?:([a-zA-Z_:][a-zA-Z0-9_:]*+|"(?:[^"\\]++|\\.)++")[ \t]*+=[ \t]*+)?"((?:[^"\\]++|\\.)*+)"[ \t]*+(?:,[ \t]*+|$)',
    re.DOTALL,
)
_ESCAPE = re.compile(r'\\([\\n"])')


def key(line: str) -> str:
    """Give what precedes the value: `name{...}`, or the name and the white space after it.

    Raises:
        ValueError: the line does not begin as a sample does.
    """
    match = _KEY.match(line)
    if match is None:
        raise ValueError("not a sample")
    return match.group()


def series(text: str) -> tuple[str, dict[str, str]]:
    """Split a key into the metric's name and its labels.

    Raises:
        ValueError: a label is malformed or stands twice, or there is no name.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise ValueError("not a sample")
    name, inside, nameless = match.groups()
    labels: dict[str, str] = {}
    inside = (nameless if inside is None else inside) or ""
    at = 0
    if inside.isspace():
        at = len(inside)
    while at < len(inside):
        label = _LABEL.match(inside, at)
        if label is None:
            raise ValueError("malformed labels")
        at = label.end()
        left, value = label.groups()
        if left is None:  # a quoted name, not a label
            if name is not None:
                raise ValueError("two names")
            name = _unescape(value)
            continue
        left = _unescape(left[1:-1]) if left[0] == '"' else left
        if left in labels:
            raise ValueError(f"label {left!r} stands twice")
        labels[left] = _unescape(value)
    if not name:
        raise ValueError("no name")
    return name, labels


def number(text: str) -> float:
    """Read the value from what follows a key, without the exemplar; a timestamp is allowed and ignored.

    Raises:
        ValueError: it is no number, or more follows.
    """
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise ValueError("expected a value and at most a timestamp")
    for word in words:
        if "_" in word:  # Python's own digit separator, not the format's
            raise ValueError("not a number")
    try:
        value, *_ = map(float, words)
    except ValueError:
        raise ValueError("not a number") from None
    return value


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], text) if "\\" in text else text
