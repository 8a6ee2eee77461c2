# SPDX-License-Identifier: Apache-2.0
"""A queueing model of one inference engine: arrivals, continuous batching, chunked prefill, KV cache blocks, preemption.

It follows vLLM's V1 scheduler (`vllm/v1/core/sched/scheduler.py`): every iteration each running request gets the
tokens it lacks, oldest first; when the KV cache is full the newest is preempted and computed again later.
"""

import math
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from inferometer.simulation.tally import Tally

BLOCK = 16  # tokens of one KV cache block
BATCH_TOKENS = 2048  # tokens of one iteration at most: `max_num_batched_tokens`
WAVE = 120.0  # seconds of one rise and fall of the arrivals: a day, for people in a hurry
PATIENCE = 4.0  # mean seconds until a client that gives up does so


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What one engine serves and how fast.

    Args:
        model: the served name.
        rate: requests per second, the mean over a wave.
        phase: where in the wave it starts, 0..1.
        prompt: median prompt tokens, without the shared prefix.
        output: median generated tokens.
        prefix: tokens of the system prompt that most requests share.
        longest: `max_model_len`.
        blocks: KV cache blocks; they must hold one longest sequence.
        sequences: most requests in one batch.
        iteration: seconds that an iteration takes at least.
        per_sequence: seconds that each request of the batch adds.
        prefill: prompt tokens per second.
        abandon: share of the clients that hang up before the end.
    """

    model: str
    rate: float
    phase: float
    prompt: int
    output: int
    prefix: int
    longest: int
    blocks: int
    sequences: int
    iteration: float
    per_sequence: float
    prefill: float
    abandon: float = 0.02


@dataclass(slots=True, eq=False)
class _Request:
    """One request. `computed` counts the tokens whose keys and values are in the cache."""

    arrived: float
    prompt: int
    limit: int  # max_tokens
    target: int  # tokens it will generate
    cached: int
    gives_up: float
    computed: int = 0
    generated: int = 0
    blocks: int = 0
    preemptions: int = 0
    scheduled: float = -1.0
    first: float = -1.0
    last: float = -1.0

    @property
    def length(self) -> int:
        return self.prompt + self.generated


class _Iteration(NamedTuple):
    """What the engine computes now; it takes effect at `end`."""

    end: float
    batch: list[tuple[_Request, int]]
    intensity: float
    prefill: float  # the share of its time that computes prompts


class Work(NamedTuple):
    """How busy the engine was over an interval: seconds, the same weighted by how hard a GPU works at it, and for prompts."""

    busy: float
    effort: float
    prefill: float


class Engine:
    """One engine. Deterministic: the same specification and random source give the same counts at the same time."""

    def __init__(self, spec: EngineSpec, random: Random, start: float = 0.0) -> None:
        if spec.blocks * BLOCK < spec.longest:
            raise ValueError(f"{spec.model}: {spec.blocks} blocks cannot hold one sequence of {spec.longest} tokens")
        self.spec = spec
        self.tally = Tally(spec.longest)
        self.running: list[_Request] = []
        self.waiting: deque[_Request] = deque()
        self.free = spec.blocks
        self._random = random
        self._clock = start
        self._iteration: _Iteration | None = None
        self._next = self._draw_arrival(start)

    @property
    def kv_utilization(self) -> float:
        """Share of the KV cache's blocks in use, 0..1."""
        return 1 - self.free / self.spec.blocks

    def advance(self, until: float) -> Work:
        """Run to `until`, in seconds of the simulation's time, and say how much work that was."""
        busy = effort = prefill = 0.0
        while self._clock < until:
            if self._iteration is None:
                self._take_arrivals()
                self._iteration = self._schedule()
            if self._iteration is None:
                self._clock = min(max(self._next, self._clock), until)
                continue
            end = min(self._iteration.end, until)
            busy += end - self._clock
            effort += (end - self._clock) * self._iteration.intensity
            prefill += (end - self._clock) * self._iteration.prefill
            self._clock = end
            if end == self._iteration.end:
                self._finish(self._iteration.batch)
                self._iteration = None
        return Work(busy, effort, prefill)

    # --- arrivals -------------------------------------------------------------------------------------------------

    def _draw_arrival(self, after: float) -> float:
        """Draw the next arrival of a Poisson process whose rate rises and falls: thinning (Lewis and Shedler, 1979)."""
        peak = 1.6 * self.spec.rate
        while True:
            after += self._random.expovariate(peak)
            rate = self.spec.rate * (1 + 0.6 * math.sin(2 * math.pi * (after / WAVE + self.spec.phase)))
            if self._random.random() * peak <= rate:
                return after

    def _take_arrivals(self) -> None:
        """Queue what has arrived, drop what was given up."""
        while self._next <= self._clock:
            self.waiting.append(self._draw_request(self._next))
            self.tally.arrived += 1
            self._next = self._draw_arrival(self._next)
        for request in [r for r in (*self.running, *self.waiting) if r.gives_up <= self._clock]:
            (self.running if request in self.running else self.waiting).remove(request)
            self._release(request)
            self.tally.aborted += 1

    def _draw_request(self, at: float) -> _Request:
        spec, random = self.spec, self._random
        own = int(random.lognormvariate(math.log(spec.prompt), 0.6))
        prompt = max(8, min(spec.prefix + own, spec.longest // 2))
        limit = min(random.choice((256, 512, 1024)), spec.longest - prompt)
        target = max(1, min(int(random.lognormvariate(math.log(spec.output), 0.7)), limit))
        shares = random.random() < 0.8
        cached = min(spec.prefix, prompt - 1) // BLOCK * BLOCK if shares else 0
        leaves = random.random() < spec.abandon
        gives_up = at + random.expovariate(1 / PATIENCE) if leaves else math.inf
        return _Request(at, prompt, limit, target, cached, gives_up)

    # --- one iteration --------------------------------------------------------------------------------------------

    def _schedule(self) -> _Iteration | None:
        """Choose the next batch; None if there is nothing to do."""
        batch: list[tuple[_Request, int]] = []
        budget = BATCH_TOKENS
        preempted = False
        while len(batch) < len(self.running) and budget:
            request = self.running[len(batch)]
            tokens = min(request.length - request.computed, budget)
            while request in self.running and not self._allocate(request, tokens):
                self._preempt(self.running[-1])
                preempted = True
            if request in self.running:
                batch.append((request, tokens))
                budget -= tokens
        while self.waiting and budget and not preempted and len(self.running) < self.spec.sequences:
            request = self.waiting[0]
            if request.scheduled < 0:
                request.computed = request.cached
            tokens = min(request.length - request.computed, budget)
            if not self._allocate(request, tokens):
                break
            if request.scheduled < 0:
                request.scheduled = self._clock
            self.running.append(self.waiting.popleft())
            batch.append((request, tokens))
            budget -= tokens
        return self._cost(batch) if batch else None

    def _cost(self, batch: list[tuple[_Request, int]]) -> _Iteration:
        """Say how long a batch takes and how hard it works the GPU: prefill computes, decode mostly waits for memory."""
        spec = self.spec
        prefill = sum(tokens for _, tokens in batch if tokens > 1) / spec.prefill
        decode = spec.iteration + len(batch) * spec.per_sequence
        filled = min(1.0, len(batch) / spec.sequences)
        intensity = (prefill * 0.97 + decode * (0.30 + 0.40 * filled)) / (prefill + decode)
        return _Iteration(self._clock + prefill + decode, batch, intensity, prefill / (prefill + decode))

    def _allocate(self, request: _Request, tokens: int) -> bool:
        needed = -(-(request.computed + tokens) // BLOCK) - request.blocks
        if needed > self.free:
            return False
        if needed > 0:
            self.free -= needed
            request.blocks += needed
        return True

    def _release(self, request: _Request) -> None:
        self.free += request.blocks
        request.blocks = 0
        request.computed = 0

    def _preempt(self, request: _Request) -> None:
        """Throw the newest request's cache away and let it wait, first in line."""
        self.running.remove(request)
        self._release(request)
        request.preemptions += 1
        self.tally.preemptions += 1
        self.waiting.appendleft(request)

    def _finish(self, batch: list[tuple[_Request, int]]) -> None:
        """Take effect: each request whose tokens are all computed has one token more."""
        tally, now = self.tally, self._clock
        tokens = same = 0
        gap = -1.0  # most requests of a batch had their last token at the same time: one observation for all of them
        for request, computed in batch:
            request.computed += computed
            if request.computed < request.length:
                continue
            if request.generated == 0:
                request.first = now
                tally.prompt_tokens += request.prompt
                tally.cached_prompt_tokens += request.cached
                tally.observe("time_to_first_token_seconds", now - request.arrived)
                tokens += request.prompt
            elif now - request.last == gap:
                same += 1
            else:
                if same:
                    tally.observe("inter_token_latency_seconds", gap, same)
                gap, same = now - request.last, 1
            request.generated += 1
            request.last = now
            tokens += 1
            tally.generation_tokens += 1
            if request.generated == request.target:
                self._complete(request)
        if same:
            tally.observe("inter_token_latency_seconds", gap, same)
        tally.observe("iteration_tokens_total", tokens)

    def _complete(self, request: _Request) -> None:
        self.running.remove(request)
        self._release(request)
        tally, last = self.tally, request.last
        tally.finished["length" if request.generated == request.limit else "stop"] += 1
        decode = last - request.first
        tally.observe("request_prompt_tokens", request.prompt)
        tally.observe("request_generation_tokens", request.generated)
        tally.observe("request_max_num_generation_tokens", request.generated)
        tally.observe("request_params_n", 1)
        tally.observe("request_params_max_tokens", request.limit)
        tally.observe("request_time_per_output_token_seconds", decode / (request.generated - 1) if decode else 0.0)
        tally.observe("e2e_request_latency_seconds", last - request.arrived)
        tally.observe("request_queue_time_seconds", request.scheduled - request.arrived)
        tally.observe("request_inference_time_seconds", last - request.scheduled)
        tally.observe("request_prefill_time_seconds", request.first - request.scheduled)
        tally.observe("request_decode_time_seconds", decode)
        tally.observe("request_num_preemptions", request.preemptions)
        tally.observe("request_prefill_kv_computed_tokens", request.prompt - request.cached)
