# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF009  # key and section are dataclass field specifiers, not shared default values
"""The keys of the configuration for engines: which are scraped, with what credentials, and their service levels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inferometer.config.declare import URL, Seconds, Size, key, section


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """An engine to scrape that no pod announces."""

    url: str = key("", "URL of the metrics page.", pattern=URL, form="an http:// or https:// URL", required=True)
    engine: str = key("", "The engine. Empty: recognised from the page.")
    namespace: str = key("", "Namespace of the pod that serves it, to join it to its GPUs.")
    pod: str = key("", "Name of the pod that serves it.")
    headers: Mapping[str, str] = key({}, "Headers to send.", secret=True)
    credentials: str = key("", "Name of the entry of engines.credentials that it asks for.")
    period: Seconds = key(
        Seconds(0),
        "Time between scrapes. More often than snapshots are made it is not scraped. 0: `period`.",
        minimum=0,
    )
    deadline: Seconds = key(Seconds(0), "Longest wait for its page. 0: engines.deadline.", minimum=0)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is shown to an engine that asks for it, and whom to trust. Files are read again when they change."""

    name: str = key("", "What targets and pods call it.", required=True)
    token_file: str = key("", "File of a bearer token.")
    username: str = key("", "User of basic authentication.")
    password_file: str = key("", "File of that user's password.")
    ca_file: str = key("", "File of the certificates to trust, and no others. Empty: the system's.")
    server_name: str = key(
        "",
        "Whom the server's certificate has to be for. A pod is asked by its address, which few certificates name. Empty: "
        "the host of the URL.",
    )
    certificate_file: str = key("", "File of the client certificate to show.")
    key_file: str = key("", "File of the client certificate's key.")
    insecure_tls: bool = key(False, "Take any certificate: who answers in the engine's place is shown the token too.")
    namespaces: tuple[str, ...] = key(
        (),
        "Namespaces whose pods may choose it by the annotation `inferometer/credentials`; `*` is all of them. Empty: only "
        "engines.targets may.",
    )
    labels: tuple[str, ...] = key((), "Labels (`key` or `key=value`) that such a pod must have besides, all of them.")


@dataclass(frozen=True, slots=True)
class Discovery:
    """Engines among this node's pods."""

    enabled: bool = key(True, "Find engines among the node's pods.")
    labels: tuple[str, ...] = key(
        (
            "llm-d.ai/inference-serving=true",
            "llm-d.ai/engine-type",
            "airunway.ai/engine-type",
            "app.kubernetes.io/name=vllm",
            "inferometer/engine",
        ),
        "A pod with one of these labels (`key` or `key=value`) serves an engine.",
    )
    port_names: tuple[str, ...] = key(
        ("vllm", "engine-metrics", "inference-metrics"), "A container port of one of these names is an engine's."
    )
    images: bool = key(
        True,
        "A container whose image is a known engine's, and that declares a port which is usual for it, serves an engine.",
    )


@dataclass(frozen=True, slots=True)
class Passthrough:
    """Families of engines' pages that are published under their own names, beside what is read of them."""

    allow: tuple[str, ...] = key(
        (), "Families to pass on, by name (`vllm:*`); `*` stands for any characters. Empty: none."
    )
    deny: tuple[str, ...] = key((), "Families that are not passed on although `allow` has them.")
    max_series: int = key(
        1_000, "Most series of one page that are passed on; families beyond are left out and counted.", minimum=1
    )


@dataclass(frozen=True, slots=True)
class Engines:
    """Inference engines' metrics pages."""

    enabled: bool = key(True, "Scrape engines.")
    targets: tuple[TargetConfig, ...] = key((), "Engines that no pod announces.")
    credentials: tuple[Credentials, ...] = key((), "What engines ask for that are not open to everybody.")
    discovery: Discovery = section(Discovery)
    deadline: Seconds = key(Seconds(3), "Longest wait for one page, from connect to last byte.", minimum=0.01)
    backoff: Seconds = key(
        Seconds(30),
        "Longest time between scrapes of an engine that answers too late, or wrongly; each such answer doubles it. One that "
        "nobody listens for is asked at every period.",
        minimum=0,
    )
    max_page: Size = key(Size(4 << 20), "Largest page, after decompression.", minimum=1024)
    max_samples: int = key(20_000, "Most samples of one page.", minimum=1)
    exemplars: bool = key(
        False,
        "Ask engines for OpenMetrics before the text format, and pass on what only it has: exemplars, which lead from a "
        "latency to the trace of one request.",
    )
    max_targets: int = key(64, "Most engines scraped on one node; more are dropped and counted.", minimum=1)
    max_models: int = key(
        100,
        "Most models of one node that have series of their own, adapters served as models among them; what comes later is "
        "`other`, and counted.",
        minimum=1,
    )
    max_reasons: int = key(50, "Most reasons of each kind (finish, wait, reject, load phase), likewise.", minimum=1)
    passthrough: Passthrough = section(Passthrough)


@dataclass(frozen=True, slots=True)
class Objective:
    """A latency that engines are to keep."""

    name: str = key("", "What it is called, `inference.slo.name` on its series.", required=True)
    metric: Literal["ttft", "tpot", "itl", "e2e"] = key(
        "ttft",
        "The latency: time to first token, time per output token, inter-token latency, or of the whole request.",
        required=True,
    )
    threshold: Seconds = key(Seconds(2), "What it is to stay below.", required=True, minimum=0)
    model: str = key("*", "Models that it is for; `*` stands for any characters.")
    namespace: str = key("*", "Namespaces of the engines' pods that it is for; `*` stands for any characters.")


@dataclass(frozen=True, slots=True)
class Slo:
    """Service levels. An engine's histogram tells how many requests kept a threshold only where it has a bound there."""

    objectives: tuple[Objective, ...] = key(
        (), "Thresholds to hold against the bounds that each engine really has: docs/engines.md."
    )
