# SPDX-License-Identifier: Apache-2.0
"""A thread that is there while it is needed."""

import threading

from inferometer.hand import Hand


def test_a_hand_does_one_thing_after_the_other_until_it_is_let_go() -> None:
    """There is no thread before the first errand, one for all that follow, and another after the last."""
    before, done, names = set(threading.enumerate()), threading.Event(), list[str]()
    hand = Hand("of one")
    hand.let_go()
    hand.join(10)
    assert set(threading.enumerate()) == before

    for _ in range(2):
        hand.do(lambda: names.append(threading.current_thread().name))
    (first,) = set(threading.enumerate()) - before
    hand.let_go()
    first.join(10)
    assert not first.is_alive()
    assert names == ["of one", "of one"]

    hand.do(done.set)
    assert done.wait(10)
    hand.let_go()
    hand.join(10)
    assert set(threading.enumerate()) <= before
