"""Prompts as the token buffer that a decoding loop fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CaptureError
from ..backends import to_numpy

if TYPE_CHECKING:
    from ...records import Array


@dataclass(frozen=True)
class Prompt:
    """A batch of prompts in one buffer.

    tokens: (batch, length) int32, zeros where nothing is decided yet; mask: bool of the same
    shape, true where a prompt says the token; start: the first position that decoding decides.
    """

    tokens: Array
    mask: Array
    start: int

    def token(self, position: int, chosen: Array) -> Array:
        """(batch,) tokens of a position: the prompt's where it says one, else the chosen."""
        return np.where(self.mask[:, position], self.tokens[:, position], chosen).astype(np.int32)


def prompt_of(causal_lm: Any, prompt: Any, steps: int) -> Prompt:
    """The buffer for `steps` tokens after a prompt.

    prompt: text or a list of texts (for a model with a preprocessor), token ids (length,) or
    (batch, length), or a mapping with `token_ids` and `padding_mask`. As in keras-hub's generate,
    decoding begins behind the shortest prompt and leaves longer ones as they are.
    """
    tokens, mask = _tokens_and_mask(causal_lm, prompt)
    lengths = mask.sum(axis=1)
    if not lengths.size or int(lengths.min()) == 0:
        raise CaptureError(
            "decode got an empty prompt", "Give every row of the batch at least one token."
        )
    start, longest = int(lengths.min()), int(lengths.max())
    length = max(longest, start + steps)
    return Prompt(
        _padded(tokens[:, :longest], length).astype(np.int32),
        _padded(mask[:, :longest], length).astype(bool),
        start,
    )


def _tokens_and_mask(causal_lm: Any, prompt: Any) -> tuple[Array, Array]:
    if isinstance(prompt, str) or (isinstance(prompt, (list, tuple)) and _is_text(prompt)):
        prompt = _preprocessed(causal_lm, [prompt] if isinstance(prompt, str) else list(prompt))
    if isinstance(prompt, Mapping):
        tokens = _batch(prompt["token_ids"])
        mask = prompt.get("padding_mask")
        return tokens, np.ones_like(tokens, bool) if mask is None else _batch(mask).astype(bool)
    tokens = _batch(prompt)
    return tokens, np.ones_like(tokens, bool)


def _is_text(prompt: Any) -> bool:
    return bool(prompt) and all(isinstance(text, str) for text in prompt)


def _preprocessed(causal_lm: Any, texts: list[str]) -> Any:
    preprocessor = getattr(causal_lm, "preprocessor", None)
    if preprocessor is None:
        raise CaptureError(
            f"{type(causal_lm).__name__} has no preprocessor that could tokenize text",
            "Pass token ids: decode(causal_lm, token_ids, steps).",
        )
    return preprocessor.generate_preprocess(texts)


def _batch(value: Any) -> Array:
    array = np.asarray(value) if isinstance(value, (list, tuple)) else to_numpy(value)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise CaptureError(
            f"decode got a prompt of shape {array.shape} and dtype {array.dtype}",
            "Pass integer token ids of shape (length,) or (batch, length).",
        )
    return array


def _padded(array: Array, length: int) -> Array:
    return np.pad(array, ((0, 0), (0, length - array.shape[1])))
