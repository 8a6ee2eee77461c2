# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in the file and the environment: a Config, or errors that name their places."""

import contextlib

import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from inferometer.config import Config, ConfigError, load
from inferometer.config.document import Document, read_text
from inferometer.config.environment import overlay, variables
from inferometer.config.json_schema import schema
from inferometer.config.keys import Key, every_key, keys_of
from inferometer.config.loader import build
from inferometer.config.quantities import LONGEST, UnfitError, format_seconds, format_size, parse_seconds, parse_size

VALIDATOR = Draft202012Validator(schema())

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10_000_000),
    st.floats(0.0, 1e7),
    st.sampled_from(["", "5s", "2m", "16MiB", "auto", "grpc", "off", "info", "http://a/", ":80", "x y", "1.5MiB"]),
    st.text(max_size=5),
)


def values(key: Key) -> st.SearchStrategy[object]:
    """A value that might fit the key, or anything else."""
    if key.kind == "section":
        return st.one_of(sections(key.section, key.path), sections(key.section, key.path), SCALARS)
    if key.kind == "sections":
        return st.one_of(st.lists(sections(key.section, (*key.path, "[]")), max_size=2), SCALARS)
    if key.kind == "map":
        return st.one_of(st.dictionaries(st.text(max_size=3), SCALARS, max_size=2), SCALARS)
    if key.kind == "texts":
        return st.one_of(st.lists(SCALARS, max_size=3), SCALARS)
    return SCALARS


def sections(cls: type, path: tuple[str, ...]) -> st.SearchStrategy[object]:
    """Some keys of a section, seldom one that it does not have."""
    known = {key.name: values(key) for key in keys_of(cls, path).values()}
    some = st.fixed_dictionaries({}, optional=known)
    return st.one_of(some, some, st.dictionaries(st.text(max_size=5), SCALARS, max_size=1))


def settled(tree: object) -> tuple[object, Document]:
    document = Document()
    read_text(yaml.safe_dump(tree, allow_unicode=True), "c.yaml", document)
    return build(document), document


@given(sections(Config, ()))
def test_the_loader_and_the_schema_judge_alike(tree: object) -> None:
    """A file passes both or neither, but for the least value of a quantity that is written with a unit."""
    _, document = settled(tree)
    wrong = [p for p in document.problems if "must be at least" not in p.message and "must be at most" not in p.message]

    fits = VALIDATOR.is_valid(document.tree)

    assert fits or document.problems
    assert not (fits and wrong), wrong


@given(st.text(max_size=200), st.dictionaries(st.sampled_from(sorted(variables())), st.text(max_size=20), max_size=3))
def test_any_text_is_a_config_or_an_error(text: str, environ: dict[str, str]) -> None:
    """Nothing that a file or a variable can hold is a defect of ours."""
    document = Document(places={(): "c.yaml"})
    read_text(text, "c.yaml", document)
    overlay(document, environ)

    assert isinstance(build(document), Config)
    assert all(problem.message for problem in document.problems)


@given(
    st.dictionaries(
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", max_size=12).map("INFEROMETER_".__add__), st.text(), max_size=2
    )
)
def test_any_variable_is_known_or_explained(environ: dict[str, str]) -> None:
    """An unknown variable never ends in anything but an error that names it."""
    with contextlib.suppress(ConfigError):
        load(None, environ)


@given(st.floats(0, LONGEST))
def test_durations_survive_writing(seconds: float) -> None:
    """Every duration is written so that it reads back the same, to the nanosecond."""
    assert abs(parse_seconds(format_seconds(seconds)) - seconds) <= 1e-9


@given(st.integers(0, 10**15 - 1))
def test_sizes_survive_writing(size: int) -> None:
    """Every size is written so that it reads back the same."""
    assert parse_size(format_size(size)) == size


@given(st.one_of(st.text(max_size=20), st.none(), st.booleans(), st.lists(st.integers())))
def test_what_is_no_quantity_is_refused(value: object) -> None:
    """Only a form that the schema knows too is read."""
    for parse in (parse_seconds, parse_size):
        with contextlib.suppress(UnfitError):
            assert parse(value) >= 0


def test_every_variable_sets_its_own_key() -> None:
    """No two keys share a variable."""
    settable = [key for key in every_key() if key.variable]
    assert len({key.variable for key in settable}) == len(settable) == len(variables())
