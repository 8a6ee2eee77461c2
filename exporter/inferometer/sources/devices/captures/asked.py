# SPDX-License-Identifier: Apache-2.0
"""What a call was asked, as the recorder writes it and the player looks it up: its arguments without what is an answer."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inferometer.sources.devices.captures import handles, shapes
from inferometer.sources.devices.captures.shapes import Json

# Members of structures that say what is asked; others are answers, or what is left there of the last one. A version says
# nothing that the type's name does not.
_ASKED = re.compile(
    r"(?i)(field|scope|metric|param|counter|link|profile|engine|category)id$|num(metrics|samples)|\w+type$"
)
_TIME = re.compile(r"(?i)time_?stamp")
# Parameters whose value changes from one version of the sampler to the next, and not what is answered.
_UNASKED = re.compile(r"(?i)time_?stamp|eventtypes|timeoutm?s?$")
# Functions of the binding that call nothing.
_NO_CALLS = frozenset({"nvmlStructToFriendlyObject", "nvmlFriendlyObjectToStruct", "nvmlExceptionClass"})
# Where the binding's own function is of no use, the sampler takes the library's by this one; it gives the return code.
POINTER = "_nvmlGetFunctionPointer"
_SYSTEM_EVENTS = re.compile("nvmlSystem(EventSet|RegisterEvents)")


def is_call(name: str) -> bool:
    """Tell whether a name of the binding is that of a call of NVML."""
    return re.match("nvml[A-Z]", name) is not None and name not in _NO_CALLS


def is_unrecorded(name: str) -> bool:
    """Tell whether a call is left out of captures: waiting for the driver to go away is no fact about a GPU."""
    return _SYSTEM_EVENTS.match(name) is not None


def is_time(where: str) -> bool:
    """Tell whether a place holds a time of day: it tells when somebody recorded, and is another one when it is replayed."""
    return _TIME.search(where) is not None or where.endswith(".referenceTime")


def returning_codes(binding: Any, function: Callable[..., object]) -> Callable[..., int]:
    """Give a function that answers as the library's do: 0, or the code of the error that is raised."""

    def coded(*arguments: Any) -> int:
        try:
            function(*arguments)
        except binding.NVMLError as error:
            return int(error.value)
        return 0

    return coded


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Give the names of a function's parameters, by position."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_varnames[: code.co_argcount] if code else ()


def positional(names: Sequence[str], arguments: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
    """Put arguments that were given by name behind the others."""
    return [*arguments, *(named[name] for name in names if name in named)]


def ask(call: str, names: Sequence[str], arguments: Sequence[Any], view: shapes.View) -> list[Json]:
    """Write the arguments of a call: null for those that are not asked, structures without answers."""
    written: list[Json] = []
    for i, argument in enumerate(arguments):
        name = names[i] if i < len(names) else str(i)
        if _UNASKED.search(name):
            written.append(None)
            continue
        json = shapes.plain(argument, f"{call}({name})", view)
        if shapes.is_filled(shapes.target(argument)) and not handles.is_handle(argument):
            json = {type_: _questions(held) for type_, held in json.items()}
        written.append(json)
    return written


def _questions(held: Json) -> Json:
    """Keep what is asked."""
    if isinstance(held, list):
        return [kept for kept in map(_questions, held) if kept]
    if not isinstance(held, dict):
        return None
    kept = {
        name: value if _ASKED.match(name) or (isinstance(value, str) and value.startswith("@")) else _questions(value)
        for name, value in held.items()
    }
    return {name: value for name, value in kept.items() if value}
