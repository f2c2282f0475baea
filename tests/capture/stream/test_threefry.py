"""The words of the stream: those that its authors published, on every kind of integers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.stream.threefry import Integers, block, integers_of, words

INTEGERS = {name: integers_of(name) for name in ("numpy", keras.backend.backend())}

KNOWN = {
    (0x00000000, 0x00000000, 0x00000000, 0x00000000): (0x6B200159, 0x99BA4EFE),
    (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF): (0x1CB996FC, 0xBB002BE7),
    (0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3): (0xC4923A9C, 0x483DF7A0),
}
"""Key and counter, two words each → words: `kat_vectors` of Random123, threefry2x32 20."""


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("given", KNOWN)
def test_known_answers(kind: str, given: tuple[int, ...]) -> None:
    integers: Integers = INTEGERS[kind]
    first, second, counter, above = (integers.words([word]) for word in given)
    found = block(integers, integers.joined(first, second), counter, above)
    assert tuple(int(word[0]) for word in found) == KNOWN[given]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_a_longer_row_has_as_many_words_as_it_says(count: int) -> None:
    drawn = np.asarray(words(np.array([5, 9], np.uint32), count, INTEGERS["numpy"]))
    assert drawn.shape == (count,)
    assert len(set(drawn.tolist())) == count
