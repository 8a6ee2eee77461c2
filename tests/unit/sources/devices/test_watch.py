# SPDX-License-Identifier: Apache-2.0
"""Waiting for a file: the kernel tells of it wherever it can, and of nothing else is anybody woken more often than by looking."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.sources.devices import inotify, watch
from inferometer.sources.devices.release import Pause
from inferometer.sources.devices.watch import Watch

NEVER = 3600.0  # seconds
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def never_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whoever waits see nothing by looking, so that what is seen was told; or others were there, as in any machine's /tmp."""
    monkeypatch.setattr(watch, "GLANCE", NEVER)


@pytest.fixture
def watched() -> Iterator[Callable[[Path | None], Watch]]:
    """Watch for files; the watches are closed when the test ends."""
    watches: list[Watch] = []

    def watch_for(path: Path | None) -> Watch:
        watches.append(Watch(str(path or "")))
        return watches[-1]

    yield watch_for
    for each in watches:
        each.close()


class Waiting:
    """A thread that waits for a file as the samplers' does: it watches, looks, waits, and looks again."""

    def __init__(self, watched: Watch, path: Path) -> None:
        self._watched = watched
        self._path = path
        self.looks = 0
        self._looked = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()
        assert self._looked.acquire(timeout=PATIENCE)

    def _wait(self) -> None:
        while True:
            self._watched.begin()
            self.looks += 1
            there = self._path.exists()
            self._looked.release()
            if there:
                return
            self._watched.wait()

    def has_looked_again(self) -> bool:
        """Wait for a look."""
        return self._looked.acquire(timeout=PATIENCE)

    def has_seen_it(self) -> bool:
        """Wait until it has seen the file."""
        self._thread.join(PATIENCE)
        return not self._thread.is_alive()


Watching = Callable[[Path | None], Watch]


def test_a_file_that_comes_is_told(watched: Watching, tmp_path: Path) -> None:
    """Made, or moved there."""
    file = tmp_path / "release"
    waiting = Waiting(watched(file), file)
    file.touch()
    assert waiting.has_seen_it()

    file.unlink()
    waiting = Waiting(watched(file), file)
    (tmp_path / "other").touch()
    (tmp_path / "other").rename(file)
    assert waiting.has_seen_it()


def test_directories_that_come_later_are_watched(watched: Watching, tmp_path: Path) -> None:
    """One after the other, and the file in the last of them."""
    file = tmp_path / "a" / "b" / "release"
    waiting = Waiting(watched(file), file)

    file.parent.parent.mkdir()
    assert waiting.has_looked_again()
    file.parent.mkdir()
    assert waiting.has_looked_again()
    file.touch()
    assert waiting.has_seen_it()


@pytest.mark.parametrize("level", [0, 1])
def test_a_directory_that_is_replaced_is_watched(watched: Watching, tmp_path: Path, level: int) -> None:
    """Removed and made again, or moved away and another put in its place."""
    file = tmp_path / "a" / "b" / "release"
    file.parent.mkdir(parents=True)
    moved = (file.parent, file.parent.parent)[level]
    waiting = Waiting(watched(file), file)

    moved.rename(tmp_path / "c")
    assert waiting.has_looked_again()
    shutil.rmtree(tmp_path / "c")
    file.parent.mkdir(parents=True)
    file.touch()
    assert waiting.has_seen_it()


@pytest.mark.parametrize("level", [0, 1])
def test_a_directory_that_somebody_is_still_in_is_replaced(watched: Watching, tmp_path: Path, level: int) -> None:
    """The kernel does not say that it has gone itself until they have left, who may be a shell or a service."""
    file = tmp_path / "a" / "b" / "release"
    file.parent.mkdir(parents=True)
    held = os.open((file.parent, file.parent.parent)[level], os.O_RDONLY)
    waiting = Waiting(watched(file), file)
    try:
        shutil.rmtree((file.parent, file.parent.parent)[level])
        file.parent.mkdir(parents=True)
        file.touch()
        assert waiting.has_seen_it()
    finally:
        os.close(held)


def test_others_wake_nobody_more_often_than_looking_does(
    watched: Watching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory in which a lot comes and goes costs at most what looking costs; a wake is obeyed there, too."""
    monkeypatch.setattr(watch, "CALM", NEVER)
    file = tmp_path / "release"
    watching = watched(file)
    waiting = Waiting(watching, file)
    for i in range(1000):
        (tmp_path / str(i)).touch()

    file.touch()
    watching.wake()
    assert waiting.has_seen_it()
    assert waiting.looks == 2


def without_inotify(patch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError("too many of them")

    patch.setattr(inotify.Inotify, "__init__", refuse)


def on_a_network(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inotify, "_TELLING", frozenset())


def without_descriptors(patch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError("too many open files")

    patch.setattr(os, "eventfd", refuse)


@pytest.mark.parametrize("how", [without_inotify, on_a_network, without_descriptors])
def test_where_the_kernel_cannot_tell_it_is_looked(
    watched: Watching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """As often as ever."""
    monkeypatch.setattr(watch, "GLANCE", 0.01)
    how(monkeypatch)
    file = tmp_path / "release"
    waiting = Waiting(watched(file), file)
    for _ in range(3):
        assert waiting.has_looked_again()

    file.touch()
    assert waiting.has_seen_it()


def test_a_way_that_leads_elsewhere_is_looked_at(
    watched: Watching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a link to a directory, which may be turned; and where the file is a link itself, to one that comes later."""
    monkeypatch.setattr(watch, "GLANCE", 0.01)
    for name in ("there", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("there")
    file = tmp_path / "link" / "release"
    waiting = Waiting(watched(file), file)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "elsewhere" / "release").touch()
    assert waiting.has_seen_it()

    file = tmp_path / "there" / "release"
    waiting = Waiting(watched(file), file)
    file.symlink_to(tmp_path / "target")
    (tmp_path / "target").touch()
    assert waiting.has_seen_it()


def test_a_file_in_the_place_of_a_directory_hides_nothing(watched: Watching, tmp_path: Path) -> None:
    """It is removed, and the directory made: then that is watched."""
    file = tmp_path / "a" / "release"
    file.parent.touch()
    waiting = Waiting(watched(file), file)

    file.parent.unlink()
    file.parent.mkdir()
    file.touch()
    assert waiting.has_seen_it()


def test_without_a_file_only_a_wake_ends_the_waiting(watched: Watching) -> None:
    """One that came before the waiting, too; and after it is closed it wakes nobody, and writes nowhere."""
    watching = watched(None)
    pause = Pause()
    pause.add(watching.wake)

    watching.begin()
    pause.begin("the test wants it", 1)
    watching.wait()
    waiting = threading.Thread(target=watching.wait, daemon=True)
    waiting.start()
    pause.wake()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()

    watching.close()
    receiver, sender = os.pipe()  # has the descriptor that was closed
    os.set_blocking(receiver, False)
    pause.wake()
    pause.remove(watching.wake)
    pause.wake()
    with pytest.raises(BlockingIOError):
        os.read(receiver, 8)
    os.close(receiver)
    os.close(sender)


STEPS = st.lists(
    st.sampled_from(["touch", "unlink", "move in", "a", "a/b", "no a", "no b", "a away", "b away", "a back", "other"]),
    min_size=1,
    max_size=12,
)


def take(step: str, root: Path) -> None:
    """Change something, if that can be now."""
    a, b, file = root / "a", root / "a" / "b", root / "a" / "b" / "release"
    away = root / "away"
    try:
        match step:
            case "touch":
                file.touch()
            case "unlink":
                file.unlink()
            case "move in":
                (root / "file").touch()
                (root / "file").rename(file)
            case "a" | "a/b":
                (root / step).mkdir()
            case "no a" | "no b":
                shutil.rmtree(a if step == "no a" else b)
            case "a away" | "b away":
                (a if step == "a away" else b).rename(away)
            case "a back":
                away.rename(a)
            case "other":
                (b / "other").touch()
    except OSError:
        return


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_whatever_becomes_of_the_way_the_file_is_seen(rounds: list[list[str]]) -> None:
    """However directories come and go between two looks: when the file is there in the end, the waiting ends."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        file = root / "a" / "b" / "release"
        watching, hung = Watch(str(file)), threading.Event()

        def give_up() -> None:
            hung.set()
            watching.wake()

        try:
            for steps in rounds:
                watching.begin()
                there = file.exists()
                for step in steps:
                    take(step, root)
                while file.exists() and not there:
                    alarm = threading.Timer(PATIENCE, give_up)
                    alarm.start()
                    watching.wait()
                    alarm.cancel()
                    assert not hung.is_set()
                    watching.begin()
                    there = file.exists()
        finally:
            watching.close()
