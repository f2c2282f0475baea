"""A model's own function of a step, run for the test, and one beside it that is watched.

Keras runs on with what it traced before, whatever was set on the model since. So must a model whose
data can be given only once: its function is never made anew for watching, and a second one, made
now, is given each batch once more. Where the model is another by now than what runs on, that one
makes something else, and nothing of its inside is what ran for the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...records import TensorRecord
from ...store.digest import digest
from ...tolerance import EPSILON
from ..backends import active, copied, given_back, is_tensor, view
from ..backends.nest import exchanged, flatten
from ..state.models import ModelState, attribute, instance_attribute
from ..tap.precision import coarsest
from ..watch.unnoticed import unnoticed
from .again import Meanwhile
from .identity import Taken
from .methods import host

if TYPE_CHECKING:
    from ...records import Array

_PREDICT = "predict_function"
_MAKE = "make_predict_function"


@dataclass
class SecondRun:
    """What the second run of a step begins with: its state as it was, and its data again, or the
    batches that the first run took of it."""

    state: Any
    data: Any
    taken: Taken | None = None

    @staticmethod
    def of(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], SecondRun]:
        """What the first run is given, and what to give the second one."""
        # The first run donates what it is given.
        return SecondRun.on(_each_tensor(copied, args[0]), args)

    @staticmethod
    def on(state: Any, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], SecondRun]:
        """The same, of a second run that begins with a state of its own."""
        taken = Taken.of(args[1])
        return (args[0], taken or args[1]), SecondRun(state, args[1], taken)

    @property
    def batch(self) -> Any | None:
        """The data of its one step; None of several, or none."""
        if self.taken is None:
            return self.data
        return self.taken.taken[0] if len(self.taken.taken) == 1 else None

    def args(self) -> tuple[Any, ...]:
        return _each_tensor(given_back, self.state), self.again

    @property
    def again(self) -> Any:
        """The data of the first run."""
        return self.data if self.taken is None else iter(self.taken.taken)


def _each_tensor(make: Callable[[Any], Any], state: Any) -> Any:
    return exchanged(state, lambda leaf: make(leaf) if is_tensor(leaf) else leaf)


def are_same(one: Any, other: Any) -> bool:
    """Whether two runs of a step returned the same, bit for bit."""
    left, right = dict(flatten(one)), dict(flatten(other))
    return left.keys() == right.keys() and all(
        digest(view(leaf)) == digest(view(right[place]))
        for place, leaf in left.items()
        if is_tensor(leaf)
    )


@dataclass
class RunBeside:
    """Of one `predict`.

    quiet: a context for the test's own function, watched: one for the other. read: fetches what a
    program handed over. earlier: whether the first one was made before this call. same: whether
    both did the same, bit for bit. failure: why the second one could not be run.
    """

    model: Any
    quiet: Meanwhile
    watched: Meanwhile
    read: Callable[[], None]
    earlier: bool = False
    same: bool = True
    failure: Exception | None = None
    _plain: Any = None
    _function: Any = None
    _make: Any = None
    _made: list[Mapping[str, Array]] = field(default_factory=list)
    _left: tuple[Any, Any] | None = None

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Inside, `predict` runs both."""
        self._make = getattr(self.model, _MAKE)
        self.earlier = getattr(self.model, _PREDICT, None) is not None
        try:
            with instance_attribute(self.model, _MAKE, self._makes):
                yield
        finally:
            if getattr(self.model, _PREDICT, None) is self:
                setattr(self.model, _PREDICT, self._plain)

    def _makes(self, *args: Any, **kwargs: Any) -> Any:
        if getattr(self.model, _PREDICT) is self:
            # A callback predicts as well.
            setattr(self.model, _PREDICT, self._plain)
        with self.quiet():
            self._make(*args, **kwargs)
        self._plain = getattr(self.model, _PREDICT)
        setattr(self.model, _PREDICT, self)
        return self

    def __call__(self, *args: Any) -> Any:
        __tracebackhide__ = True
        given, again = args, None
        if self.failure is None:
            try:
                given, again = self._held(args)
            except Exception as error:
                self.failure = error
        with self.quiet():
            returned = self._plain(*given)
        if again is not None:
            self._again(lambda: again(returned))
        return returned

    def _held(self, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Callable[[Any], None]]:
        """What the test's own function is given, and the second run, told what that returned."""
        if active() == "jax":
            given, second = SecondRun.on(self._own_state(args[0]), args)
            return given, lambda returned: self._go_on(returned, second)
        before = ModelState(self.model)
        return args, lambda returned: self._in_place(before, args, returned)

    def _own_state(self, state: Any) -> Any:
        """What the second run begins a batch with: what it left of the one before, where the first
        run does so as well. Copies of a large model at each batch take longer than the batches."""
        left, self._left = self._left, None
        if left is not None and _are_one(left[0], state):
            return left[1]
        return _each_tensor(lambda leaf: given_back(copied(leaf)), state)

    def _go_on(self, returned: Any, second: SecondRun) -> None:
        again = self._watched((second.state, second.again))
        self._compare(returned, again)
        self._left = returned[1], again[1]

    def _in_place(self, before: ModelState, args: tuple[Any, ...], returned: Any) -> None:
        """TensorFlow's variables are written where they are."""
        after = ModelState(self.model)
        before.restore()
        try:
            self._compare(returned, self._watched(args))
            self.same = self.same and after.equals(ModelState(self.model))
        finally:
            after.restore()

    def _again(self, run: Callable[[], None]) -> None:
        """The second run is nothing that the test hears of."""
        try:
            with unnoticed(self.model):
                run()
                self.read()
        except Exception as error:
            self.failure = error

    def _watched(self, args: tuple[Any, ...]) -> Any:
        with (
            instance_attribute(self.model, _MAKE, self._make),
            attribute(self.model, _PREDICT, None),
            self.watched(),
        ):
            if self._function is None:
                getattr(self.model, _MAKE)()
                self._function = getattr(self.model, _PREDICT)
            return self._function(*args)

    def _compare(self, returned: Any, again: Any) -> None:
        self.same = self.same and are_same(returned, again)
        outputs = again[0] if active() == "jax" else again
        self._made.append(host(outputs))

    # -- what it came to --------------------------------------------------------------------

    def made(self) -> dict[str, Array]:
        """What the second one returned, as `predict` puts the batches together."""
        places = dict.fromkeys(place for part in self._made for place in part)
        return {place: np.concatenate([part[place] for part in self._made]) for place in places}


def _are_one(one: Any, other: Any) -> bool:
    """Whether two states are the very same tensors."""
    left, right = dict(flatten(one)), dict(flatten(other))
    return left.keys() == right.keys() and all(left[place] is right[place] for place in left)


def is_another(
    plain: Mapping[str, Array], made: Mapping[str, Array], records: Sequence[TensorRecord]
) -> bool:
    """Whether two programs computed something else, and not the same with other roundings. records:
    what was seen inside of one."""
    unit = EPSILON.get(coarsest([record.precision for record in records]), 0.0)
    most = min(_MOST, _ROUNDINGS * unit)
    return plain.keys() != made.keys() or any(
        not _is_near(plain[place], made[place], most) for place in plain
    )


_ROUNDINGS, _MOST = 1 << 13, 0.05
"""How far, as relative L2, another fusing of one program may take what it returns: in float32 it
was 2.6e-6, in bfloat16 a hundredth."""


def _is_near(one: Array, other: Array, most: float) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind not in "fV" and one.dtype.name not in EPSILON:
        return digest(one) == digest(other)
    left, right = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        whole = np.isfinite(left) & np.isfinite(right)
        same = np.array_equal(left[~whole], right[~whole], equal_nan=True)
        apart = np.linalg.norm(left[whole] - right[whole])
        return bool(same and apart <= most * np.linalg.norm(left[whole]))
