# SPDX-License-Identifier: Apache-2.0
"""`inferometer completion`: a completion script for a shell, generated from the tree of commands."""

import argparse
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inferometer.cli.output import write
from inferometer.cli.parser import build_parser
from inferometer.views.json import dump


class Option(NamedTuple):
    """An option: its name, whether a value follows, the values if they are a closed set, and what it does."""

    name: str
    takes_value: bool
    choices: tuple[str, ...]
    files: bool  # whether the value is a file's name
    text: str


class Command(NamedTuple):
    """A command: its words from the program's name on, what it does, its options, and the words that may follow."""

    words: tuple[str, ...]
    text: str
    options: tuple[Option, ...]
    choices: tuple[tuple[str, str], ...]  # subcommands and closed positionals, each with its help
    files: bool  # whether a file name may follow


def execute(arguments: argparse.Namespace) -> int:
    """Print the script of one shell."""
    script = {"bash": bash, "zsh": zsh, "fish": fish}[arguments.shell](tuple(tree(build_parser())))
    write(dump({"shell": arguments.shell, "script": script}) + "\n" if arguments.json else script)
    return 0


def tree(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), text: str = "") -> Iterator[Command]:
    """Walk the parser, a command before its subcommands."""
    options: list[Option] = []
    choices: list[tuple[str, str]] = []
    below: dict[str, tuple[argparse.ArgumentParser, str]] = {}
    files = False
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to walk a parser
        if action.option_strings:
            help_text = _help(action, parser)
            values = tuple(action.choices or ())
            options += [
                Option(n, action.nargs != 0, values, _is_file(action), help_text) for n in action.option_strings
            ]
        elif isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # as above
            helps = {a.dest: a.help or "" for a in action._choices_actions}  # noqa: SLF001  # as above
            below = {name: (child, helps.get(name, "")) for name, child in action.choices.items()}
            choices += [(name, helps.get(name, "")) for name in below]
        elif action.choices:
            choices += [(str(choice), "") for choice in action.choices]
        else:
            files = _is_file(action)
    yield Command(
        (parser.prog.split()[0], *words), text or (parser.description or ""), tuple(options), tuple(choices), files
    )
    for name, (child, help_text) in below.items():
        yield from tree(child, (*words, name), help_text)


def bash(commands: Sequence[Command]) -> str:
    """Write the script for bash."""
    cases = "\n".join(_bash_case(command) for command in commands)
    values = "\n".join(_bash_value(option) for option in _values(commands))
    return f"""\
# bash completion of inferometer; load it with: source <(inferometer completion bash)
_inferometer() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command="" word
  COMPREPLY=()
  case $previous in
{values}
  esac
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$command/$word" in
{_bash_paths(commands)}
    esac
  done
  case $command in
{cases}
  esac
}}
complete -o filenames -F _inferometer inferometer
"""


def _bash_value(option: Option) -> str:
    """Offer what may follow one option."""
    offer = f"-W {shlex.quote(' '.join(option.choices))}"
    if option.files:
        offer = "-f"
    return f'    {option.name}) COMPREPLY=($(compgen {offer} -- "$current")); return ;;'


def _bash_paths(commands: Sequence[Command]) -> str:
    """Follow the words typed so far down the tree."""
    found = [command.words[1:] for command in commands if len(command.words) > 1]
    return "\n".join(f"      {'/' + '/'.join(words)}) command={'/' + '/'.join(words)} ;;" for words in found)


def _bash_case(command: Command) -> str:
    """Offer what may follow one command."""
    path = "".join(f"/{word}" for word in command.words[1:])
    words = " ".join([name for name, _ in command.choices] + [option.name for option in command.options])
    line = f'COMPREPLY=($(compgen -W {shlex.quote(words)} -- "$current"))'
    files = ' ; [[ $current == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))' if command.files else ""
    return f"    {shlex.quote(path)}) {line}{files} ;;"


def _values(commands: Sequence[Command]) -> list[Option]:
    """Give the options that a value follows, once each."""
    return list({option.name: option for c in commands for option in c.options if option.takes_value}.values())


def zsh(commands: Sequence[Command]) -> str:
    """Write the script for zsh."""
    functions = "\n".join(_zsh_function(command, commands) for command in commands)
    return f"""\
#compdef inferometer
# zsh completion of inferometer; put it into a directory of $fpath as _inferometer, or: source <(inferometer completion zsh)
{functions}
if [ "$funcstack[1]" = "_inferometer" ]; then
  _inferometer "$@"
else
  compdef _inferometer inferometer
fi
"""


def _zsh_function(command: Command, commands: Sequence[Command]) -> str:
    """Write the function that completes one command."""
    name = "_" + "_".join(command.words)
    specs = [_zsh_option(option) for option in command.options]
    children = [c for c in commands if c.words[:-1] == command.words]
    if children:
        listed = " ".join(_quote(f"{c.words[-1]}:{c.text}") for c in children)
        cases = "\n".join(f"        {c.words[-1]}) _{'_'.join(c.words)} ;;" for c in children)
        return f"""\
{name}() {{
  local curcontext="$curcontext" context state state_descr line
  typeset -A opt_args
  local -a below=({listed})
  _arguments -C {" ".join(specs)} '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command below ;;
    rest)
      case $line[1] in
{cases}
      esac ;;
  esac
}}"""
    if command.choices:
        specs.append(_quote(f"1: :({' '.join(name for name, _ in command.choices)})"))
    elif command.files:
        specs.append("'1:file:_files'")
    return f"{name}() {{\n  _arguments {' '.join(specs)}\n}}"


def _zsh_option(option: Option) -> str:
    """Write one option for `_arguments`."""
    text = option.text.replace("[", "(").replace("]", ")").replace(":", "\\:")
    value = ""
    if option.takes_value:
        value = ":file:_files" if option.files else f":value:({' '.join(option.choices)})"
    return _quote(f"{option.name}[{text}]{value}")


def fish(commands: Sequence[Command]) -> str:
    """Write the script for fish."""
    lines = [
        "# fish completion of inferometer; load it with: inferometer completion fish | source",
        "complete -c inferometer -f",
    ]
    for command in commands:
        condition = _fish_condition(command, commands)
        for name, text in command.choices:
            lines.append(f"complete -c inferometer -n {_quote(condition)} -a {name} -d {_quote(text)}")
        if command.files:
            lines.append(f"complete -c inferometer -n {_quote(condition)} -F")
        for option in command.options:
            flag = f"-l {option.name[2:]}" if option.name.startswith("--") else f"-s {option.name[1:]}"
            value = ""
            if option.takes_value:
                value = " -r -F" if option.files else f" -x -a {_quote(' '.join(option.choices))}"
            lines.append(f"complete -c inferometer -n {_quote(condition)} {flag}{value} -d {_quote(option.text)}")
    return "\n".join(lines) + "\n"


def _fish_condition(command: Command, commands: Sequence[Command]) -> str:
    """Say when a command is the one that the line has come to."""
    below = " ".join(c.words[-1] for c in commands if c.words[:-1] == command.words)
    parts = [f"__fish_seen_subcommand_from {word}" for word in command.words[1:]]
    if below:
        parts.append(f"not __fish_seen_subcommand_from {below}")
    return "; and ".join(parts) or "true"


def _is_file(action: argparse.Action) -> bool:
    return any(kind in str(action.metavar) for kind in ("FILE", "DIR"))


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Give an option's help with its default filled in."""
    return (action.help or "") % {"prog": parser.prog, "default": action.default}


def _quote(text: str) -> str:
    """Quote for a shell; always, so that the scripts look alike."""
    return "'" + text.replace("'", "'\\''") + "'"
