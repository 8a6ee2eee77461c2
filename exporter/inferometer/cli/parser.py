# SPDX-License-Identifier: Apache-2.0
"""All commands and options: the tree that parses, and that the completions are generated from."""

import argparse
import os

from inferometer import __version__

PORT = 9466
_COLUMNS = 80  # where there is no terminal
_STANDARD_OUTPUT = 1  # its descriptor

_EXAMPLES = f"""\
examples:
  inferometer demo                                  a simulated node, live, without a GPU
  inferometer run --config inferometer.yaml         the agent
  inferometer check                                 what is there, what is missing and what to do
  inferometer snapshot --format prometheus          one collection, printed
  inferometer record capture                        what NVML answers, for run --replay capture
  inferometer top http://node-7:{PORT}                the live table of a running agent
  inferometer check engine http://127.0.0.1:8000/metrics

Each command has its own --help.
"""


class _Formatter(argparse.HelpFormatter):
    """argparse's own, which is made for each option that is added, without `shutil` and what that brings where there is no terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class _Raw(_Formatter, argparse.RawDescriptionHelpFormatter):
    """The same, with an epilogue that keeps its lines."""


def _columns() -> int:
    """Give the width of the terminal; where there is none, and nobody says one, nothing has to be asked."""
    if "COLUMNS" not in os.environ and not os.isatty(_STANDARD_OUTPUT):
        return _COLUMNS
    from shutil import get_terminal_size  # noqa: PLC0415  # 0.3 MiB that only a person's terminal costs

    return get_terminal_size((_COLUMNS, 24)).columns


def build_parser() -> argparse.ArgumentParser:
    """Build the whole tree. Every leaf names the module of `inferometer.cli` that executes it."""
    parser = argparse.ArgumentParser(
        prog="inferometer",
        description="GPU and inference observability: what a GPU does, for whom, and what a token costs.",
        epilog=_EXAMPLES,
        formatter_class=_Raw,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _log_options(parser, default=None)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = _command(commands, "run", "the agent, in the foreground", "run")
    _config_option(run)
    _replay_option(run)
    run.add_argument("--listen", metavar="ADDR:PORT", help="listen there instead of where the configuration says")

    demo = _command(commands, "demo", "a simulated node through the same pipeline, with a live table", "demo")
    demo.add_argument(
        "--port", type=_port, default=PORT, help="port on 127.0.0.1 (default: %(default)s; 0 picks a free one)"
    )
    demo.add_argument("--for", dest="duration", metavar="DURATION", help="end after so long, such as 30s or 5m")
    _seed_option(demo)

    snapshot = _command(commands, "snapshot", "one collection, long enough for rates, printed", "snapshot")
    _config_option(snapshot)
    stands = snapshot.add_mutually_exclusive_group()
    stands.add_argument("--simulate", action="store_true", help="collect from a simulated node")
    _replay_option(stands)
    _seed_option(snapshot)
    forms = snapshot.add_mutually_exclusive_group()
    forms.add_argument(
        "--format", choices=("table", "json", "prometheus", "otlp-json"), default="table", help="default: %(default)s"
    )
    forms.add_argument("--json", action="store_true", help="the same as --format json")

    top = _command(commands, "top", "the live table of a running agent", "top")
    top.add_argument("url", metavar="URL", nargs="?", default=f"http://127.0.0.1:{PORT}", help="default: %(default)s")
    _access_options(top)

    check = _command(commands, "check", "what is there, what is missing and what to do, source by source", "check")
    _config_option(check)
    _replay_option(check)
    _json_option(check)
    below = check.add_subparsers(metavar="engine|agent")
    engine = _command(
        below,
        "engine",
        "which engine a page is from, and which families map to what; or which engines are scraped here",
        "engine",
    )
    engine.add_argument(
        "page",
        metavar="FILE|URL",
        nargs="?",
        help="a saved metrics page, - for standard input, or a URL; without it the engines of this node, how each was "
        "found, and what is not scraped and why",
    )
    engine.add_argument("--credentials", metavar="NAME", help="entry of engines.credentials that the URL is asked with")
    _json_option(engine, default=argparse.SUPPRESS)
    agent = _command(below, "agent", "whether agents answer as they should, at every address of a name", "agent")
    agent.add_argument(
        "url", metavar="URL", help="an agent's page, or /readyz; a name stands for all its addresses, as a Service's"
    )
    agent.add_argument(
        "--identity", choices=("none", "name", "partial", "uid"), help="how much has to be known of owners, at least"
    )
    agent.add_argument("--expect-version", dest="version", metavar="VERSION", help="which version it has to be")
    agent.add_argument("--wait", metavar="DURATION", default="0s", help="try again for so long (default: %(default)s)")
    _access_options(agent)
    _json_option(agent, default=argparse.SUPPRESS)

    record = _command(commands, "record", "what NVML answers, written for a replay, with all identity masked", "record")
    record.add_argument("directory", metavar="DIR", help="directory of the capture: empty, or not there yet")
    length = record.add_mutually_exclusive_group()
    length.add_argument("--rounds", type=int, metavar="N", help="so many samples (default: 60)")
    length.add_argument("--for", dest="duration", metavar="DURATION", help="for so long, such as 30s or 5m")
    record.add_argument(
        "--period", metavar="DURATION", default="1s", help="time between two samples (default: %(default)s)"
    )
    _config_option(record)
    _json_option(record)

    metrics = _command(commands, "metrics", "every metric: name, unit, attributes, and what it is read from", "metrics")
    forms = metrics.add_mutually_exclusive_group()
    _json_option(forms)
    forms.add_argument("--markdown", action="store_true", help="the reference page")

    config = _command(commands, "config", "the defaults with comments; validation, schema, reference page", "config")
    forms = config.add_mutually_exclusive_group()
    forms.add_argument("--check", metavar="FILE", help="validate a file together with the INFEROMETER_ variables")
    forms.add_argument("--schema", action="store_true", help="the JSON Schema of the file")
    forms.add_argument("--markdown", action="store_true", help="the reference page")
    _json_option(config)

    password = _command(
        commands, "password", "a user's line for the file that server.auth.users_file names", "password"
    )
    password.add_argument(
        "name", metavar="NAME", help="the user; the password is asked for, or read from standard input"
    )
    _json_option(password)

    completion = _command(commands, "completion", "a completion script for a shell", "completion")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    _json_option(completion)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, module: str
) -> argparse.ArgumentParser:
    """Add one command."""
    description = f"{text[0].upper()}{text[1:]}."
    parser = commands.add_parser(
        name, help=text, description=description, formatter_class=_Formatter, allow_abbrev=False
    )
    parser.set_defaults(module=module)
    _log_options(parser, default=argparse.SUPPRESS)
    return parser


def _log_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Accept the logging options before the command as well as after it."""
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default=default,
        help="least severity that is logged",
    )
    parser.add_argument("--log-format", choices=("text", "json"), default=default, help="form of a log line")


def _access_options(parser: argparse.ArgumentParser) -> None:
    """Accept what is shown to an agent, and whom is trusted to be one."""
    for flag, what in (
        ("--ca-file", "certificates to trust instead of the system's"),
        ("--certificate-file", "client certificate to show, with its chain"),
        ("--key-file", "its key"),
        ("--token-file", "bearer token to show"),
        ("--password-file", "password of --username"),
    ):
        parser.add_argument(flag, metavar="FILE", default="", help=what)
    parser.add_argument(
        "--username", metavar="NAME", default="", help="user to show, with the password of --password-file"
    )
    parser.add_argument("--insecure-tls", action="store_true", help="take any certificate")


def _config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="configuration file (YAML)")


def _replay_option(parser: "argparse._ActionsContainer") -> None:
    parser.add_argument("--replay", metavar="DIR", help="answer from a capture in place of the NVIDIA driver")


def _seed_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of the simulation (default: %(default)s)"
    )


def _json_option(parser: "argparse._ActionsContainer", default: object = False) -> None:
    parser.add_argument("--json", action="store_true", default=default, help="print a JSON document")


def _port(text: str) -> int:
    """Read a TCP port."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


_port.__name__ = "port"  # argparse names the type in its errors by this
