"""In which words a change of logits is told."""

from __future__ import annotations

from pytest_keras_golden.compare.speech import PREDICTIONS, TOKENS, common, place_of, speech


def test_words_follow_the_shape_and_the_kind_of_model() -> None:
    assert speech("logits", (1, 6, 512)) == TOKENS
    assert speech("a/step_012/logits", (4, 512)) == TOKENS
    assert speech("logits", (4, 10)) == speech("logits", (10,)) == PREDICTIONS
    assert speech("logits", (1, 32, 32, 4)) == PREDICTIONS
    assert common([TOKENS, TOKENS]) == TOKENS
    assert common([TOKENS, PREDICTIONS]) == common([]) == PREDICTIONS
    assert place_of([(4, 10), (4,)]) == "row"
    assert place_of([(4, 10), (1, 4, 8)]) == "position"
