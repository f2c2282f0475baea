"""What every outermost call of a block ran with and returned, as digests.

Isolation feeds golden inputs and golden weights, so a difference in what calls ran with cannot
appear there: it is told here, for each call and not only for the first.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compare.calls import OWN_DRAWS, SHUFFLED
from ...errors import CaptureError
from ...records import OutermostCall
from ...store.digest import digest
from ..backends import to_numpy, unwrapped, view, write_count
from ..backends.nest import flatten
from ..stream.functions import called, drawn_since
from ..stream.shared import drawn_by_its_own, is_shared
from ..tap.precision import is_numeric
from ..watch.structure import walk
from .given import passed
from .variables import states_of
from .weights import input_fingerprints, numeric_digest, weights_of

if TYPE_CHECKING:
    from ...records import Array

GLOBAL_SEED = "@global_seed"
"""The generator behind unseeded `keras.random` calls, which belongs to no layer."""


class _Digests:
    """Digests of variables, each worked out once as long as nobody writes into it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], int, str]] = {}

    def of(self, variable: Any) -> str | None:
        """None where the variable holds no numbers now, or none that can be told."""
        # Asked for its value, a variable that is not initialized yet would draw one.
        if getattr(variable, "_value", variable) is None:
            return None
        value = unwrapped(variable)
        reference, version, key = self._known.get(id(value), (None, 0, ""))
        count = write_count(value)
        if reference is not None and reference() is value and version == count:
            return key
        try:
            key = numeric_digest(view(value))
        except CaptureError:
            return None
        if count is not None:
            self._known[id(value)] = weakref.ref(value), count, key
        return key


_Layers = Iterable[tuple[str, Any]]
"""By path, as `walk` gives them."""

Adopted = Callable[[str], _Layers]


@dataclass
class Fingerprints:
    """Of one block. weights: as they were before the first call of each model; inputs: call and
    place → digest; outermost: in the order in which calls ended. adopted: told a path, the layers
    below it that no attribute of a model leads to."""

    prefix: str = ""
    aliases: Sequence[tuple[str, str]] = ()
    weights: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outermost: list[OutermostCall] = field(default_factory=list)
    adopted: Adopted = lambda above: ()
    _now: dict[str, str] = field(default_factory=dict)
    _roots: dict[str, weakref.ref[Any]] = field(default_factory=dict)
    _digests: _Digests = field(default_factory=_Digests)

    def begun(
        self,
        name: str,
        path: str,
        target: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        batch: int | None = None,
        shuffled: bool = False,
    ) -> Begun:
        """Look at a call before it runs; its weights by name, below the path of its layer.

        batch: how many of its inputs a method takes at once; shuffled: whether in another order.
        """
        below = self._below(path, target)
        updates = self._see(path, target, below)
        for place, key in input_fingerprints(args, kwargs).items():
            self.inputs[f"{self.prefix}{name}{place}"] = key
        flags = passed(args, kwargs)
        seeds, functions = self._seeds(below), called()
        held = weakref.ref(target)
        return Begun(name, path, held, updates, seeds, flags, functions, batch, shuffled)

    def returned(self, call: Begun, outputs: Any) -> OutermostCall:
        """Look at a call that has returned: which seeds it drew from, and what it made."""
        below = self._below(call.path, call.target)
        self._see_built(below)
        after = self._seeds(below)
        draws = {name: key for name, key in call.seeds.items() if after.get(name) != key}
        if draws:
            draws |= dict.fromkeys(map(OWN_DRAWS.format, sorted(drawn_by_its_own())), "")
        draws |= drawn_since(call.functions, advanced=bool(draws))
        made = OutermostCall(
            name=self.prefix + call.name,
            path=self.prefix + call.path,
            outputs=_outputs(outputs),
            updates=call.updates,
            draws=draws | ({SHUFFLED: ""} if call.shuffled else {}),
            flags=call.flags,
            batch=call.batch,
        )
        self.outermost.append(made)
        return made

    def take_weights(self, path: str, target: Any) -> None:
        """Of a model that only programs call, which nobody can look at before they run."""
        self._see_built(self._below(path, target))

    def take_initial(self, weights: Mapping[str, Array]) -> None:
        """Of a model that was not built when its training began: what its first step began with."""
        for name, array in weights.items():
            if self.prefix + name not in self._now:
                key = numeric_digest(array)
                self.weights[self.prefix + name] = self._now[self.prefix + name] = key

    def _see(self, path: str, target: Any, below: _Layers) -> dict[str, str]:
        """Take in the weights of a layer; those that are not what they were before. With the first
        call of a model those of others, too: it may share or copy what they were trained to."""
        updates: dict[str, str] = {}
        if path not in self._roots:
            others = [(other, held()) for other, held in self._roots.items()]
            self._roots[path] = weakref.ref(target)
            for other, root in others:
                updates |= {} if root is None else self._changed(self._below(other, root))
        return updates | self._changed(below) | self._states(below)

    def _below(self, path: str, target: Any) -> _Layers:
        """A layer, what is below it, and what was met while it ran."""
        met = (found for at, layer in self.adopted(path) for found in walk(layer, at))
        return [*walk(target, path), *met]

    def _changed(self, below: _Layers) -> dict[str, str]:
        updates = {}
        for name, variable in weights_of(below, self.aliases).items():
            key = self._digests.of(variable)
            if key is None:
                continue
            known = self._now.get(self.prefix + name)
            if known is None:
                self.weights[self.prefix + name] = key
            elif known != key:
                updates[self.prefix + name] = key
            self._now[self.prefix + name] = key
        return updates

    def _states(self, below: _Layers) -> dict[str, str]:
        """What stateful recurrent layers go on from, which is told before every call."""
        states = ((name, self._digests.of(variable)) for name, variable in _carried(below))
        return {self.prefix + name: key for name, key in states if key is not None}

    def _see_built(self, below: _Layers) -> None:
        """Weights that the call itself made: a forward call leaves them as it initialized them."""
        for name, variable in weights_of(below, self.aliases).items():
            key = self._digests.of(variable) if self.prefix + name not in self._now else None
            if key is not None:
                self.weights[self.prefix + name] = self._now[self.prefix + name] = key

    def _seeds(self, below: _Layers) -> dict[str, str]:
        digests = {}
        of = _as_words if is_shared() else self._digests.of
        for name, variable in _generators(below):
            key = of(variable)
            if key is not None:
                digests[self.prefix + name] = key
        return digests


@dataclass(frozen=True)
class Begun:
    """A call that is running: what is known of it so far. held: its layer, which a test may let go
    of behind a call that raised."""

    name: str
    path: str
    held: weakref.ref[Any]
    updates: Mapping[str, str]
    seeds: Mapping[str, str]
    flags: Mapping[str, str]
    functions: Mapping[str, int]
    batch: int | None = None
    shuffled: bool = False

    @property
    def target(self) -> Any:
        return self.held()


def _as_words(state: Any) -> str:
    """Of a generator's state, whatever the integers that a backend keeps it in."""
    return digest(to_numpy(state).astype(np.int64).astype(np.uint32))


def named_seeds(target: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The states of all generators that a call of this layer may draw from, by structural name."""
    return _generators(walk(target, path))


def _generators(below: _Layers) -> Iterator[tuple[str, Any]]:
    for found, layer in below:
        for at, generator in enumerate(vars(layer).get("_seed_generators") or ()):
            yield f"{found}/@seed{at}", generator.state
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    if generator is not None:
        yield GLOBAL_SEED, generator.state


def _carried(below: _Layers) -> Iterator[tuple[str, Any]]:
    """What recurrent layers carry from call to call, by structural name."""
    for found, layer in below:
        for at, state in enumerate(states_of(layer)):
            yield f"{found}/@state{at}", state


def _outputs(returned: Any) -> dict[str, str]:
    """Place → digest of what a golden could hold of a nest of outputs."""
    digests = {}
    for place, leaf in flatten(returned):
        if is_numeric(leaf):
            try:
                digests[place] = digest(view(leaf))
            except CaptureError:
                continue
    return digests
