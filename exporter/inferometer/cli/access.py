# SPDX-License-Identifier: Apache-2.0
"""The client that asks a running agent, with what the options say that it shows and whom it trusts."""

import argparse

from inferometer.cli.output import Failure
from inferometer.client import Client
from inferometer.config import Credentials
from inferometer.sources.engines.access import accesses, open_client, problem_of

_DEADLINE = 5.0  # seconds for one page
_MAX_BODY = 64 << 20


def open_agent(arguments: argparse.Namespace, command: str, *, server_name: str = "") -> Client:
    """Open it for a command, whose name a contradiction of its options is told with. Raises Failure with exit code 2.

    `server_name` is whom the certificate has to be for, where that is not the host of the URL.
    """
    entry = Credentials(
        name=command,
        ca_file=arguments.ca_file,
        server_name=server_name,
        certificate_file=arguments.certificate_file,
        key_file=arguments.key_file,
        token_file=arguments.token_file,
        username=arguments.username,
        password_file=arguments.password_file,
        insecure_tls=arguments.insecure_tls,
    )
    if problem := problem_of(entry):
        raise Failure(2, f"{command}: {problem}")
    return open_client(accesses([entry])[entry.name], deadline=_DEADLINE, max_body=_MAX_BODY)
