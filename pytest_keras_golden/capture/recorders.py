"""The watchers of one capture block: of eager calls, of programs, of methods that are run twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, GoldenError
from ..records import Mode, Observer, TensorRecord
from .backends import compiled_frames
from .compiled import ProgramCapture, capture_programs
from .eager import EagerCapture, capture_calls, policy_name
from .forgiving import Note
from .limit import NO_LIMIT, Limit
from .owned import OwnedCalls, owned_calls
from .watch import Call
from .weights import fingerprints, input_fingerprints

if TYPE_CHECKING:
    from ..records import Array


@dataclass
class Recorders:
    """What was asked of a block, and who records it.

    model: None takes whatever is called outermost. weights, inputs: structural name, with the
    block's prefix → digest, as they were before the first call. shadow: the first batch of a
    compiled call run eagerly, for isolation, which forces tensors and so needs eager execution.
    note: takes what cannot be captured, which else raises.
    renamed: structural name → what an alias made of it.
    """

    model: Any | None
    select: Sequence[str]
    name: str | None = None
    limit: Limit = NO_LIMIT
    aliases: Sequence[tuple[str, str]] = ()
    isolate: bool = True
    isolation_bytes: int | None = None
    note: Note | None = None
    weights: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    eager: EagerCapture = field(init=False)
    program: ProgramCapture = field(init=False)
    owned: OwnedCalls = field(init=False)
    shadow: EagerCapture | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    _policy: str | None = None
    _failure: str = ""
    _hidden: bool = False

    @property
    def prefix(self) -> str:
        return f"{self.name}/" if self.name else ""

    @contextmanager
    def watching(self) -> Iterator[Recorders]:
        """Record inside the block. Raises CaptureError on leaving for what cannot be recorded."""
        frames = compiled_frames()
        with ExitStack() as stack:
            self.eager = stack.enter_context(self._eager(self._eager_begun, self.isolate))
            self.program, watch = stack.enter_context(
                capture_programs(
                    self.model,
                    select=self.select,
                    name_prefix=self.name,
                    limit=self.limit,
                    aliases=self.aliases,
                    note=self.note,
                )
            )
            self.owned = OwnedCalls(
                self.model,
                self.program,
                watch,
                others=(self.eager.watch,),
                prefix=self.prefix,
                begun=self._owned_begun,
                shadow=self._run_shadow if self.isolate else None,
                note=self.note,
            )
            stack.enter_context(owned_calls(self.owned))
            yield self
        self.renamed = {**self.eager.renamed, **watch.structure.renamed}
        self._hidden = compiled_frames() > frames
        if self._hidden and self.model is not None:
            raise CaptureError(
                "torch.compile compiled a function inside the capture block: watching its layers "
                "splits what it fuses, so the tensors would not be those of the compiled run",
                "Capture the uncompiled model, or check what the compiled one returns: "
                "golden_tensors.check('logits', compiled(x)).",
            )
        self._take_late_weights()

    def _eager(self, begun: Any = None, isolate: bool = True) -> Any:
        return capture_calls(
            self.model,
            select=self.select,
            name_prefix=self.name,
            limit=self.limit,
            isolate=isolate,
            isolation_bytes=self.isolation_bytes,
            aliases=self.aliases,
            begun=begun,
            note=self.note,
        )

    # -- what was recorded ------------------------------------------------------------------

    @property
    def records(self) -> list[TensorRecord]:
        if self._hidden:
            return []
        return unique([*self.eager.records, *self.program.records])

    @property
    def tensors(self) -> Mapping[str, Array]:
        """Name → array of what was recorded so far; also while the block is open."""
        so_far = unique([*self.eager.records, *self.program.so_far()])
        return {record.name: record.value for record in so_far}

    @property
    def mode(self) -> Mode:
        return self.program.mode

    @property
    def observer(self) -> Observer | None:
        return self.owned.observer

    @property
    def policy(self) -> str | None:
        return self.eager.policy or self._policy or self.program.policy

    @property
    def replayable(self) -> EagerCapture | None:
        """The eager calls that an isolating pass runs again."""
        if self.eager.seen or not self.owned.seen:
            return self.eager
        return self.shadow

    @property
    def isolation(self) -> str:
        """`complete`, or why there is nothing for an isolating pass."""
        if self.eager.seen == 0 and self.program.seen > 0 and self.shadow is None:
            reason = self._failure or "the test compiled the call itself"
        else:
            reason = self.replayable.unavailable if self.replayable is not None else ""
        return f"unavailable: {reason}" if reason else "complete"

    # -- before calls -----------------------------------------------------------------------

    def _eager_begun(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._take_weights(call.target)
        for place, key in input_fingerprints(args, kwargs).items():
            self.inputs[f"{self.prefix}{call.name}{place}"] = key

    def _owned_begun(
        self, model: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._policy = self._policy or policy_name(model)
        self._take_weights(model)
        named = {name: kwargs[name] for name in _BATCH if name in kwargs}
        for place, key in input_fingerprints(args[: len(_BATCH)], named).items():
            self.inputs[f"{self.prefix}{method}{place}"] = key

    def _take_weights(self, target: Any) -> None:
        if not self.weights:
            self.weights = fingerprints_of(
                target if self.model is None else self.model, self.prefix
            )

    def _take_late_weights(self) -> None:
        """Of a layer that its first call builds, or that only programs call."""
        self.inputs.update(self.program.inputs)
        first = self.model if self.model is not None else self.program.first_layer
        if not self.weights and first is not None:
            self.weights = fingerprints_of(first, self.prefix)

    def _run_shadow(self, model: Any, first_batch: Callable[[], None]) -> None:
        """Of the first compiled call, where no eager one is there to replay: see `replayable`."""
        if self.eager.seen or self.shadow is not None or self._failure:
            return
        try:
            with self._eager() as shadow:
                shadow.watch.restart()
                self.shadow = shadow
                first_batch()
        except GoldenError:
            raise
        except Exception as error:
            self.shadow = None
            self._failure = f"{type(model).__name__} does not run eagerly: {error}"


_BATCH = ("x", "y", "sample_weight")
"""What a model's methods are given beside how to go about it, in order."""


def unique(records: Sequence[TensorRecord]) -> list[TensorRecord]:
    """Names used twice, by a method of the model and by a call of it, are counted on."""
    taken: set[str] = set()
    named = []
    for record in records:
        name, count = record.name, 0
        while name in taken:
            count += 1
            name = f"{record.name}@{count}"
        taken.add(name)
        named.append(replace(record, name=name))
    return named


def fingerprints_of(model: Any, prefix: str) -> dict[str, str]:
    """Structural weight name, with the block's prefix → digest."""
    return {prefix + name: key for name, key in fingerprints(model).items()}
