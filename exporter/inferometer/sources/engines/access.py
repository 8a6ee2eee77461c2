# SPDX-License-Identifier: Apache-2.0
"""Which entry of `engines.credentials` a target may use, and what is wrong with an entry; and an entry made ready to use."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from inferometer import config
from inferometer.client import Client
from inferometer.credentials import Authorization, Basic, Bearer, Tls
from inferometer.model import EMPTY, Pod

EVERYWHERE = "*"


class Access(NamedTuple):
    """An entry: what TLS connections of all its targets are made with."""

    entry: config.Credentials
    tls: Tls

    def authorization(self) -> Authorization | None:
        """Make what one target is shown in the Authorization header."""
        if self.entry.token_file:
            return Bearer(self.entry.token_file)
        if self.entry.username:
            return Basic(self.entry.username, self.entry.password_file)
        return None


def open_client(access: Access | None, *, deadline: float, max_body: int, headers: Mapping[str, str] = EMPTY) -> Client:
    """Give a client that asks one engine, with what it is shown and whom it trusts; without an access that is nothing.

    `deadline` is seconds for a request, `max_body` the most bytes of an answer.
    """
    return Client(
        deadline=deadline,
        max_body=max_body,
        headers=headers,
        authorization=access.authorization() if access else None,
        trust=access.tls if access else None,
    )


def accesses(entries: Iterable[config.Credentials]) -> Mapping[str, Access]:
    """Make the entries ready, by their names. Their files are read when they are first needed."""
    return {entry.name: Access(entry, _tls(entry)) for entry in entries if not problem_of(entry)}


def _tls(entry: config.Credentials) -> Tls:
    return Tls(entry.ca_file, entry.certificate_file, entry.key_file, entry.server_name, insecure=entry.insecure_tls)


def problem_of(entry: config.Credentials) -> str:
    """Say what contradicts itself in an entry; empty if nothing does."""
    if not entry.name:
        return "it has no name"
    if entry.token_file and (entry.username or entry.password_file):
        return "it has a token and a password: one header holds one of them"
    if bool(entry.username) != bool(entry.password_file):
        return "a user and the file of its password go together"
    if ":" in entry.username:
        return "a user of basic authentication has no colon in its name"
    if bool(entry.certificate_file) != bool(entry.key_file):
        return "a certificate and its key go together"
    if entry.insecure_tls and entry.ca_file:
        return "it takes any certificate, and names those to trust"
    return ""


def problems_of(entries: Iterable[config.Credentials]) -> Mapping[int, str]:
    """Say what is wrong, by the index of the entry; of two with one name neither can be meant."""
    listed = tuple(entries)
    names = [entry.name for entry in listed]
    found = {i: problem_of(entry) or _twice(entry.name, names) for i, entry in enumerate(listed)}
    return {i: problem for i, problem in found.items() if problem}


def _twice(name: str, names: list[str]) -> str:
    return f"{name!r} is named twice" if names.count(name) > 1 else ""


def refuse_target(name: str, entries: Iterable[config.Credentials]) -> str:
    """Say why a configured target cannot use the entry of this name; empty if it can, or names none."""
    listed = tuple(entries)
    wrong = problems_of(listed)
    usable = {entry.name for i, entry in enumerate(listed) if i not in wrong}
    return "" if not name or name in usable else f"engines.credentials has no usable entry {name[:40]!r}"


def refuse_pod(name: str, pod: Pod, entries: Iterable[config.Credentials]) -> str:
    """Say why a pod may not choose the entry of this name; empty if it may, or chooses none.

    Whoever may make pods chooses annotations and labels freely, but not the namespace: only an entry that names it is
    given out.
    """
    listed = tuple(entries)
    if problem := refuse_target(name, listed):
        return problem
    entry = next((each for each in listed if each.name == name), None)
    if entry is None:
        return ""
    if EVERYWHERE not in entry.namespaces and pod.namespace not in entry.namespaces:
        return f"the credentials {name!r} are not for pods of the namespace {pod.namespace}"
    if not all(has_label(pod.labels, wanted) for wanted in entry.labels):
        return f"the credentials {name!r} are for pods with the labels {', '.join(entry.labels)}"
    return ""


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """Tell whether `key`, or `key=value`, is among the labels."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
