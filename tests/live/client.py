# SPDX-License-Identifier: Apache-2.0
"""A client of the OpenAI API that keeps books: what it asked, what it got, when the first token came and when the last."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from live.ledger import Exchange, Ledger, Outcome

_TIMEOUT = 120.0  # of one read
_DONE = "[DONE]"

Ask = Callable[[], Exchange]


class _Sent(NamedTuple):
    """A request under way."""

    began: float
    prompt: int
    limit: int
    sequences: int

    def over(self, outcome: Outcome, completion: int, first: float | None, *, prompt: int | None = None) -> Exchange:
        """Say how it ended, now."""
        prompt = self.prompt if prompt is None else prompt
        whole = time.monotonic() - self.began
        return Exchange(outcome, prompt, completion, self.limit, self.sequences, first, whole)


def bytes_of(prompt: str) -> int:
    """Count tokens as the tiny model's tokenizer does."""
    return len(prompt.encode())


class Client:
    """Asks one engine; any thread may. `url` is without a path; `count` gives how many tokens a prompt has."""

    def __init__(self, url: str, model: str, count: Callable[[str], int] = bytes_of) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._model = model
        self._count = count
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()

    def ledger(self, engine: str, options: Iterable[str] = ()) -> Ledger:
        """Give the books of all that was asked so far."""
        with self._lock:
            return Ledger(engine, tuple(options), tuple(self._exchanges))

    def chat(
        self, content: str, *, tokens: int, stream: bool = True, n: int = 1, model: str = "", may_end: bool = False
    ) -> Exchange:
        """Have a chat completion of `tokens` tokens, `n` times; or fewer, where it may end by itself."""
        messages: dict[str, object] = {"messages": [{"role": "user", "content": content}]}
        if may_end:
            messages["ignore_eos"] = False
        return self._ask("/v1/chat/completions", messages, content, tokens, stream=stream, n=n, model=model)

    def complete(self, prompt: str, *, tokens: int, stream: bool = True, n: int = 1, model: str = "") -> Exchange:
        """Have a text completion of `tokens` tokens, `n` times."""
        return self._ask("/v1/completions", {"prompt": prompt}, prompt, tokens, stream=stream, n=n, model=model)

    def hang_up(self, content: str, *, tokens: int, after: int) -> Exchange:
        """Begin a chat completion and hang up when `after` tokens were read; 0: as soon as it is sent.

        A request that ends before that has finished like any other.
        """
        messages: dict[str, object] = {"messages": [{"role": "user", "content": content}]}
        return self._ask("/v1/chat/completions", messages, content, tokens, stream=True, n=1, after=after)

    def together(self, *asks: Ask) -> list[Exchange]:
        """Ask all at once, each on a thread of its own."""
        with ThreadPoolExecutor(len(asks)) as pool:
            return list(pool.map(lambda ask: ask(), asks))

    def _ask(
        self,
        path: str,
        content: dict[str, object],
        prompt: str,
        tokens: int,
        *,
        stream: bool,
        n: int,
        model: str = "",
        after: int | None = None,
    ) -> Exchange:
        body = {"model": model or self._model, "max_tokens": tokens, "ignore_eos": True, "n": n, **content}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        sent = _Sent(time.monotonic(), self._count(prompt), tokens * n, n)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            exchange = (
                sent.over("aborted", 0, None) if after == 0 else _answer(connection, sent, stream=stream, after=after)
            )
        finally:
            connection.close()
        with self._lock:
            self._exchanges.append(exchange)
        return exchange


def _answer(connection: http.client.HTTPConnection, sent: _Sent, *, stream: bool, after: int | None) -> Exchange:
    response = connection.getresponse()
    if response.status != http.HTTPStatus.OK:
        response.read()
        return sent.over("refused", 0, None)
    if not stream:
        return _finished(sent, json.loads(response.read())["usage"], None)
    first: float | None = None
    read, usage = 0, None
    for event in _events(response):
        if "error" in event:  # in a stream that had begun well
            return sent.over("refused", read, first)
        usage = event.get("usage") or usage
        if any(_text(choice) for choice in event["choices"]):
            first = time.monotonic() - sent.began if first is None else first
            read += 1
            if after is not None and read >= after:
                return sent.over("aborted", read, first)
    assert usage is not None, "the stream ended without its usage"
    return _finished(sent, usage, first)


def _finished(sent: _Sent, usage: dict[str, int], first: float | None) -> Exchange:
    return sent.over("finished", usage["completion_tokens"], first, prompt=usage["prompt_tokens"])


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Read server-sent events to the last."""
    for line in response:
        data = line.removeprefix(b"data:").strip().decode() if line.startswith(b"data:") else ""
        if data == _DONE:
            return
        if data:
            yield json.loads(data)


def _text(choice: dict[str, Any]) -> bool:
    """Whether an event brings text. A token that is half a character brings none: what is read is never more than was made."""
    return bool(choice.get("text") or choice.get("delta", {}).get("content"))
