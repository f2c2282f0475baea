"""`golden_tensors`: what a test touches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from ..compare.numbers import Precisions, known_precision
from ..config import DEFAULT_SELECT, RUNNING
from ..errors import CaptureError
from ..records import Tolerance
from ..tolerance import parse
from .against import CaseGolden
from .checked import records

if TYPE_CHECKING:
    from ..records import Array
    from .collected import Case

_UNSET: Any = object()


class GoldenTensors:
    """Records tensors of one test and has them compared with its golden when the body has ended.

    Tensors may come from any Keras backend or numpy, in any nest of mappings and sequences.
    """

    def __init__(self, case: Case) -> None:
        self._case = case

    def __getattr__(self, name: str) -> Any:
        """Nothing is found here: the message names the nearest method."""
        __tracebackhide__ = True
        from ..errors import did_you_mean

        methods = [known for known in dir(type(self)) if not known.startswith("_")]
        # What Python and pytest look for in any object is nobody's mistake.
        meant = "" if name.startswith("_") else did_you_mean(name, methods)
        said = f"{type(self).__name__!r} object has no attribute {name!r}. {meant}".rstrip(" .")
        raise AttributeError(said, name=name, obj=self)

    def check(
        self,
        name: str | Mapping[str, Any],
        tensor: Any = _UNSET,
        *,
        tolerance: Tolerance | Mapping[str, float] | str | None = None,
        reference: Any = None,
        precision: str | None = None,
    ) -> None:
        """Compare one tensor, or a nest of them, under `name`; or each item of a mapping.

        tolerance: `{"k": 5}` or `{"rtol": 1e-3, "atol": 1e-5}`, else marker, ini or default.
        reference: the same tensor (or nest) in higher precision, for the three-way rule.
        precision: dtype name of the coarsest arithmetic behind the tensor, where its own dtype does
        not say so. Python floats have none: they count as the captured model's, else as float32,
        and so do float64 arrays that hold float32 numbers.
        Raises CaptureError for a used name, an unsupported dtype, an empty nest or a reference of
        another form, ConfigError for a tolerance or precision that makes no sense. Comparing itself
        happens after the test body.
        """
        __tracebackhide__ = True
        if tensor is _UNSET:
            if not isinstance(name, Mapping):
                raise CaptureError(
                    f"check({name!r}) has no tensor", "Write check(name, tensor) or check(mapping)."
                )
            self._check_each(name, tolerance, reference, precision)
            return
        if not isinstance(name, str):
            raise CaptureError(f"check() got {name!r} as a name", "Write check(name, tensor).")
        numbers = Precisions(known_precision(precision), self._case.goldens.policy)
        for record in records(name, tensor, tolerance, reference, self._case.known):
            self._case.add(numbers.of(record))

    def _check_each(
        self, tensors: Mapping[str, Any], tolerance: Any, reference: Any, precision: str | None
    ) -> None:
        if not tensors:
            raise CaptureError("check() got an empty mapping", "Pass at least one tensor.")
        if reference is not None and (
            not isinstance(reference, Mapping) or not set(reference) <= set(tensors)
        ):
            raise CaptureError(
                "check(mapping) got a reference that is no mapping of the same names",
                "Write check({'x': tensor}, reference={'x': more_precise}).",
            )
        for key, item in tensors.items():
            exact = None if reference is None else reference.get(key)
            self.check(str(key), item, tolerance=tolerance, reference=exact, precision=precision)

    @contextmanager
    def capture(
        self,
        model: Any,
        *,
        name: str | None = None,
        select: str | Sequence[str] = DEFAULT_SELECT,
        tolerance: Tolerance | Mapping[str, float] | str | None = None,
        isolate: bool = True,
        aliases: Mapping[str, str] | None = None,
        rows: int | Literal["all"] | None = None,
    ) -> Iterator[Mapping[str, Array]]:
        """Record what the calls of `model` inside the block compute, by structural layer name.

        name: prefix of the tensor names, for several blocks in one test.
        select: groups (`attention`, `logits`, `blocks`, `training`, `all`; of training `loss`,
        `gradients`, `updates`, `slots`, `metrics`, `random`) and globs over structural names.
        aliases: name in this run → name in the golden, globs over structural names; before those
        of `golden_aliases`.
        rows: keep this many of the first and of the last rows (axis -2: the positions of a
        sequence) of every tensor, or `all` of it, instead of `golden_rows`.
        isolate: keep inputs and outputs of every leaf layer, to tell local from inherited drift.
        Yields a mapping name → numpy array that fills while the block runs. Raises CaptureError
        at the end of a block that saw nothing.
        """
        __tracebackhide__ = True
        from ..capture.block import capture_block
        from ..capture.record.eager import policy_name
        from ..capture.tap.limit import Limit
        from ..capture.tap.request import Request, alias_pairs, chosen, named, valid_rows

        case, settings = self._case, self._case.settings
        case.goldens.note_policy(policy_name(model))
        request = Request(
            select=chosen(select),
            name=named(name),
            tolerance=None if tolerance is None else parse(tolerance),
            # The goldens of a gate are temporary: what a test leaves out for their size is wanted.
            isolate=case.examines and (isolate or settings.transplant is not None),
            limit=Limit(settings.max_bytes, settings.rows if rows is None else valid_rows(rows)),
            aliases=tuple(_first(alias_pairs(aliases), settings.aliases).items()),
            isolation_bytes=settings.max_size,
            steps=settings.steps,
        )
        started = capture_block(model, request, CaseGolden(case))
        with started as block, self._case.whole_block():
            yield block.tensors
        self._case.add_block(block)
        if rows is not None:
            self._case.kept_whole.update(block.tensors)

    def decode(
        self,
        causal_lm: Any,
        prompt: Any,
        steps: int = 16,
        *,
        name: str | None = None,
        select: str | Sequence[str] = ("attention",),
        tolerance: Tolerance | Mapping[str, float] | str | None = None,
    ) -> None:
        """Decode `steps` tokens through the KV cache, teacher-forced with the golden's tokens.

        causal_lm: a keras-hub `CausalLM`, or any object with `prefill(prompt)` and
        `step(token, state)`, both returning (logits, state). prompt: text where the model has a
        preprocessor, else token ids (batch, length) or a mapping with padding mask. Records
        `step_000/logits` (batch, vocabulary) and so on, `tokens` (batch, steps), and what
        `select` names inside each step; () runs each step once only.
        """
        __tracebackhide__ = True
        from ..capture.decode.decode import decode_block
        from ..capture.record.eager import policy_name
        from ..capture.tap.limit import Limit
        from ..capture.tap.request import chosen, named

        settings = self._case.settings
        self._case.goldens.note_policy(policy_name(causal_lm))
        block = decode_block(
            causal_lm,
            prompt,
            steps,
            self._case.goldens.tokens(f"{name}/tokens" if name else "tokens", steps),
            select=chosen(select),
            name=named(name),
            tolerance=None if tolerance is None else parse(tolerance),
            limit=Limit(settings.max_bytes),
            aliases=settings.aliases,
        )
        self._case.add_block(block)

    @staticmethod
    def fill_weights(model: Any, seed: int = 0) -> None:
        """Fill every weight deterministically, bitwise alike on all releases and backends.

        A layer that `golden_aliases` knows by another name is filled as under that one.
        """
        __tracebackhide__ = True
        from ..capture.state.weights import fill_weights

        aliases = RUNNING[-1].aliases if RUNNING else {}
        fill_weights(model, seed, tuple(aliases.items()))


def _first(own: Mapping[str, str], general: Mapping[str, str]) -> dict[str, str]:
    """Both, `own` before and instead of `general`: the first pattern that matches counts."""
    return {**own, **{old: new for old, new in general.items() if old not in own}}
