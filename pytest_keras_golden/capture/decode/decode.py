"""Teacher-forced decoding through the KV cache: what a model says at each step of one history.

Every step is fed the golden's tokens, not the run's own, so that one flipped token does not
drown the steps after it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ...errors import CaptureError
from ...records import Mode, ObserverEffect, TensorRecord, Tolerance
from ...store.digest import digest
from ..backends import active, is_tensor, to_numpy
from ..block import CaptureBlock
from ..record.compiled import ProgramCapture, capture_programs
from ..record.eager import policy_name
from ..state.weights import fingerprints, named_inputs
from ..tap.limit import NO_LIMIT, Limit
from ..tap.precision import coarsest, dtype_of
from ..tap.request import Request, chosen
from ..watch.calls import Watch, is_layer
from .programs import Program, compiled
from .prompt import Prompt, prompt_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...records import Array


@runtime_checkable
class Decoder(Protocol):
    """Anybody's model as `decode` runs it; states are its own business (a KV cache, say).

    Logits are (batch, vocabulary), of the token that follows. `step` takes (batch,) int32 numpy
    tokens. Compile `step` yourself where it shall be compiled; attention is captured where it
    runs Keras layers eagerly.
    """

    def prefill(self, prompt: Any) -> tuple[Any, Any]: ...
    def step(self, token: Any, state: Any) -> tuple[Any, Any]: ...


class Decoding(Protocol):
    """One way to decode: `start` a history, then say logits and take the next token in turn."""

    @property
    def model(self) -> Any: ...
    @property
    def compiles(self) -> bool: ...
    def inputs(self) -> Mapping[str, Array]: ...
    def before(self) -> Array: ...
    def decided(self, step: int, chosen: Array) -> Array: ...
    def start(self) -> Any: ...
    def advance(self, state: Any, step: int, previous: Array) -> tuple[Any, Any]: ...
    def watched(self, capture: ProgramCapture, watch: Watch) -> Decoding: ...


@dataclass(frozen=True)
class Decoded:
    """records: `step_000/logits`, attention beside it, and `tokens`, (batch, steps) int32.

    `tokens` is the history that was fed, and not judged: logits tell of flips.
    """

    records: list[TensorRecord]
    inputs: dict[str, str]
    mode: Mode
    observer: ObserverEffect | None


def decode(
    causal_lm: Any,
    prompt: Any,
    steps: int = 16,
    forced_tokens: Array | None = None,
    *,
    select: Sequence[str] = ("attention",),
    name: str | None = None,
    limit: Limit = NO_LIMIT,
    aliases: Sequence[tuple[str, str]] = (),
) -> Decoded:
    """Decode `steps` tokens after `prompt`, greedily or along `forced_tokens` (batch, steps).

    causal_lm: a keras-hub CausalLM with or without preprocessor, or a `Decoder`. prompt: see
    `prompt.prompt_of`. select: what to capture inside each step, beside its logits; () runs
    every step once only. Logits are a plain run's; the captured run is compared with it.
    """
    prefix = f"{name}/" if name else ""
    decoding = decoding_of(causal_lm, prompt, steps)
    tokens, logits = _plain(decoding, steps, forced_tokens)
    inside: list[list[TensorRecord]] = [[] for _ in logits]
    observer: ObserverEffect | None = None
    if select:
        model = decoding.model if is_layer(decoding.model) else None
        request = Request(tuple(select), limit=limit, aliases=tuple(aliases))
        with capture_programs(model, request) as (capture, watch):
            watched = decoding.watched(capture, watch)
            inside, again = _captured(watched, capture, tokens)
        observer = "identical" if _digests(logits) == _digests(again) else "changed"
    return Decoded(
        list(_records(prefix, decoding.model, tokens, logits, inside)),
        {f"{prefix}prompt{key}": digest(array) for key, array in decoding.inputs().items()},
        "compiled" if decoding.compiles else "eager",
        observer,
    )


def decode_block(
    causal_lm: Any,
    prompt: Any,
    steps: int = 16,
    golden_tokens: Array | None = None,
    *,
    select: str | Sequence[str] = ("attention",),
    name: str | None = None,
    tolerance: Tolerance | None = None,
    limit: Limit = NO_LIMIT,
    aliases: Mapping[str, str] | None = None,
) -> CaptureBlock:
    """`decode` as a finished capture block, with the fingerprints of the model's weights."""
    wanted = chosen(select)
    prefix = f"{name}/" if name else ""
    weights = fingerprints(causal_lm) if is_layer(causal_lm) else {}
    decoded = decode(
        causal_lm,
        prompt,
        steps,
        golden_tokens,
        select=[group for group in wanted if group != "logits"],
        name=name,
        limit=limit,
        aliases=tuple((aliases or {}).items()),
    )
    return CaptureBlock(
        isolates=False,
        isolation="unavailable: decoding",
        mode=decoded.mode,
        observer=decoded.observer,
        policy=_policy(causal_lm),
        records=[replace(record, tolerance=tolerance) for record in decoded.records],
        weights={prefix + name: key for name, key in weights.items()},
        inputs=decoded.inputs,
    )


def _policy(model: Any) -> str | None:
    return policy_name(getattr(model, "backbone", model))


def _digests(arrays: Sequence[Array]) -> list[str]:
    return [digest(array) for array in arrays]


def _plain(decoding: Decoding, steps: int, forced: Array | None) -> tuple[Array, list[Array]]:
    seen: list[Array] = []
    history = [decoding.before()]
    state = decoding.start()
    for step in range(steps):
        logits, state = decoding.advance(state, step, history[-1])
        seen.append(_last(to_numpy(logits)))
        history.append(decoding.decided(step, _choice(seen[-1], forced, step)))
    return np.stack(history[1:], axis=1), seen


def _captured(
    decoding: Decoding, capture: ProgramCapture, tokens: Array
) -> tuple[list[list[TensorRecord]], list[Array]]:
    inside, seen = [], []
    history = [decoding.before(), *tokens.T]
    state = decoding.start()
    for step in range(tokens.shape[1]):
        logits, state = decoding.advance(state, step, history[step])
        seen.append(_last(to_numpy(logits)))
        inside.append(capture.collect())
    return inside, seen


def _choice(logits: Array, forced: Array | None, step: int) -> Array:
    if forced is not None and forced.shape[0] == logits.shape[0] and step < forced.shape[1]:
        chosen: Array = forced[:, step]
        return chosen
    # The first of equals, in a dtype that orders them alike everywhere.
    return np.asarray(logits.astype(np.float32).argmax(axis=-1))


def _last(logits: Array) -> Array:
    """(batch, vocabulary) of (batch, vocabulary) or (batch, positions, vocabulary)."""
    return logits[:, -1].copy() if logits.ndim == 3 else logits


def _records(
    prefix: str,
    model: Any,
    tokens: Array,
    logits: Sequence[Array],
    inside: Sequence[Sequence[TensorRecord]],
) -> Iterator[TensorRecord]:
    for step, (array, within) in enumerate(zip(logits, inside, strict=True)):
        place = f"{prefix}step_{step:03d}/"
        yield from (replace(record, name=place + record.name) for record in within)
        yield TensorRecord(
            f"{place}logits", array, kind="logits", precision=_precision(model, array)
        )
    yield TensorRecord(f"{prefix}tokens", tokens, judged=False)


def _precision(model: Any, logits: Array) -> str:
    dtype = str(getattr(getattr(model, "backbone", model), "compute_dtype", "") or "")
    return coarsest([dtype, dtype_of(logits)])


# -- the two ways to decode -----------------------------------------------------------------


def decoding_of(causal_lm: Any, prompt: Any, steps: int) -> Decoding:
    """How to decode with this model. Raises CaptureError where there is no way."""
    if callable(getattr(causal_lm, "call_with_cache", None)):
        return HubDecoding.of(causal_lm, prompt_of(causal_lm, prompt, steps))
    if isinstance(causal_lm, Decoder):
        return ProtocolDecoding(causal_lm, prompt)
    raise CaptureError(
        f"{type(causal_lm).__name__} cannot be decoded: it is no keras-hub CausalLM "
        "and has no `prefill` and `step`",
        "Give it `prefill(prompt)` and `step(token, state)`, both returning (logits, state).",
    )


@dataclass(frozen=True)
class HubDecoding:
    """A keras-hub CausalLM, through the methods that its own generate compiles."""

    model: Any
    prompt: Prompt
    prefill: Program
    step: Program

    @classmethod
    def of(cls, causal_lm: Any, prompt: Prompt) -> HubDecoding:
        def prefill(tokens: Any, mask: Any) -> Any:
            known = {"token_ids": tokens, "padding_mask": mask}
            return called(causal_lm._build_cache, known)[1]

        return cls(causal_lm, prompt, compiled(causal_lm, prefill), _hub_step(causal_lm))

    @property
    def compiles(self) -> bool:
        return active() in ("jax", "tensorflow") and not getattr(self.model, "run_eagerly", False)

    def inputs(self) -> dict[str, Array]:
        return {"[tokens]": self.prompt.tokens, "[mask]": self.prompt.mask}

    def before(self) -> Array:
        return self.prompt.tokens[:, self.prompt.start - 1]

    def decided(self, step: int, chosen: Array) -> Array:
        return self.prompt.token(self.prompt.start + step, chosen)

    def start(self) -> Any:
        return self.prefill(_tensor(self.prompt.tokens), _tensor(self.prompt.mask))

    def advance(self, state: Any, step: int, previous: Array) -> tuple[Any, Any]:
        position = self.prompt.start + step - 1
        free = np.logical_not(self.prompt.mask[:, position : position + 1])
        arguments = (previous[:, None].astype(np.int32), state, np.int32(position), free)
        logits, state = self.step(*map(_tensor, arguments))
        return logits, state

    def watched(self, capture: ProgramCapture, watch: Watch) -> HubDecoding:
        capture.admits_eager = not self.compiles

        def unseen(*args: Any) -> Any:
            with watch.paused():
                return self.prefill(*args)

        step = _hub_step(self.model, _restarting(capture, watch))
        return replace(self, prefill=unseen, step=step)


def _hub_step(causal_lm: Any, begin: Callable[[], None] = lambda: None) -> Program:
    def step(token: Any, cache: Any, position: Any, free: Any) -> Any:
        begin()
        known = {
            "token_ids": token,
            "cache": cache,
            "cache_update_index": position,
            # keras-hub's Gemma 3 leaves the cache alone where the prompt has filled it.
            "cache_update_mask": free,
        }
        logits, _, cache = called(causal_lm.call_with_cache, known)
        return logits, cache

    return compiled(causal_lm, step)


def called(method: Callable[..., Any], known: Mapping[str, Any]) -> Any:
    """`method` with those of the known arguments it takes, None for what else it demands."""
    parameters = inspect.signature(method).parameters.values()
    given = {
        parameter.name: known.get(parameter.name)
        for parameter in parameters
        if parameter.name in known or parameter.default is parameter.empty
    }
    return method(**given)


def _tensor(value: Any) -> Any:
    import keras

    return (
        value
        if is_tensor(value) and not isinstance(value, (np.ndarray, np.generic))
        else (keras.ops.convert_to_tensor(value))
    )


@dataclass(frozen=True)
class ProtocolDecoding:
    """A `Decoder`: its prefill says the first logits, and each step the next ones."""

    model: Any
    given: Any
    begin: Callable[[], None] = lambda: None
    compiles: bool = False

    def inputs(self) -> dict[str, Array]:
        return {place: to_numpy(leaf) for place, leaf in named_inputs((self.given,), {}).items()}

    def before(self) -> Array:
        return np.zeros(0, np.int32)

    def decided(self, step: int, chosen: Array) -> Array:
        return chosen.astype(np.int32)

    def start(self) -> Any:
        return None

    def advance(self, state: Any, step: int, previous: Array) -> tuple[Any, Any]:
        self.begin()
        if step == 0:
            logits, state = self.model.prefill(self.given)
        else:
            logits, state = self.model.step(previous, state)
        return logits, state

    def watched(self, capture: ProgramCapture, watch: Watch) -> ProtocolDecoding:
        capture.admits_eager = True
        return replace(self, begin=_restarting(capture, watch))


def _restarting(capture: ProgramCapture, watch: Watch) -> Callable[[], None]:
    """Names start over: each step is the same program again."""

    def restart() -> None:
        watch.restart()
        capture.sink.restart()

    return restart
