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
from ..backends import to_numpy, unwrapped, write_count
from ..backends.nest import flatten
from ..stream.functions import called, drawn_since
from ..stream.shared import drawn_by_its_own, is_shared
from ..tap.precision import is_numeric
from ..watch.structure import walk
from .given import passed
from .variables import states_of
from .weights import input_fingerprints, named_weights, numeric_digest

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
            key = numeric_digest(to_numpy(value))
        except CaptureError:
            return None
        if count is not None:
            self._known[id(value)] = weakref.ref(value), count, key
        return key


Adopted = Callable[[str], Iterable[tuple[str, Any]]]


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
        updates = self._see(path, target)
        for place, key in input_fingerprints(args, kwargs).items():
            self.inputs[f"{self.prefix}{name}{place}"] = key
        flags = passed(args, kwargs)
        seeds, functions = self._seeds(path, target), called()
        return Begun(name, path, target, updates, seeds, flags, functions, batch, shuffled)

    def returned(self, call: Begun, outputs: Any) -> OutermostCall:
        """Look at a call that has returned: which seeds it drew from, and what it made."""
        self._see_built(call.path, call.target)
        after = self._seeds(call.path, call.target)
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
        self._see_built(path, target)

    def take_initial(self, weights: Mapping[str, Array]) -> None:
        """Of a model that was not built when its training began: what its first step began with."""
        for name, array in weights.items():
            if self.prefix + name not in self._now:
                key = numeric_digest(array)
                self.weights[self.prefix + name] = self._now[self.prefix + name] = key

    def _see(self, path: str, target: Any) -> dict[str, str]:
        """Take in the weights of a layer; those that are not what they were before. With the first
        call of a model those of others, too: it may share or copy what they were trained to."""
        updates: dict[str, str] = {}
        if path not in self._roots:
            others = [(other, held()) for other, held in self._roots.items()]
            self._roots[path] = weakref.ref(target)
            for other, root in others:
                updates |= {} if root is None else self._changed(other, root)
        return updates | self._changed(path, target) | self._states(path, target)

    def _changed(self, path: str, target: Any) -> dict[str, str]:
        updates = {}
        for name, variable in self._weights(path, target).items():
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

    def _states(self, path: str, target: Any) -> dict[str, str]:
        """What stateful recurrent layers go on from, which is told before every call."""
        states = (
            (name, self._digests.of(variable))
            for at, node in self._nodes(path, target)
            for name, variable in named_states(node, at)
        )
        return {self.prefix + name: key for name, key in states if key is not None}

    def _nodes(self, path: str, target: Any) -> Iterator[tuple[str, Any]]:
        """A layer, and those that were met while it ran."""
        yield path, target
        yield from self.adopted(path)

    def _weights(self, path: str, target: Any) -> dict[str, Any]:
        held = [named_weights(node, at, self.aliases) for at, node in self._nodes(path, target)]
        return {name: variable for named in held for name, variable in named.items()}

    def _see_built(self, path: str, target: Any) -> None:
        """Weights that the call itself made: a forward call leaves them as it initialized them."""
        for name, variable in self._weights(path, target).items():
            key = self._digests.of(variable) if self.prefix + name not in self._now else None
            if key is not None:
                self.weights[self.prefix + name] = self._now[self.prefix + name] = key

    def _seeds(self, path: str, target: Any) -> dict[str, str]:
        digests = {}
        of = _as_words if is_shared() else self._digests.of
        for at, node in self._nodes(path, target):
            for name, variable in named_seeds(node, at):
                key = of(variable)
                if key is not None:
                    digests[self.prefix + name] = key
        return digests


@dataclass(frozen=True)
class Begun:
    """A call that is running: what is known of it so far."""

    name: str
    path: str
    target: Any
    updates: Mapping[str, str]
    seeds: Mapping[str, str]
    flags: Mapping[str, str]
    functions: Mapping[str, int]
    batch: int | None = None
    shuffled: bool = False


def _as_words(state: Any) -> str:
    """Of a generator's state, whatever the integers that a backend keeps it in."""
    return digest(to_numpy(state).astype(np.int64).astype(np.uint32))


def named_seeds(target: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The states of all generators that a call of this layer may draw from, by structural name."""
    for found, layer in walk(target, path):
        for at, generator in enumerate(vars(layer).get("_seed_generators") or ()):
            yield f"{found}/@seed{at}", generator.state
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    if generator is not None:
        yield GLOBAL_SEED, generator.state


def named_states(target: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What recurrent layers carry from call to call, by structural name."""
    for found, layer in walk(target, path):
        for at, state in enumerate(states_of(layer)):
            yield f"{found}/@state{at}", state


def _outputs(returned: Any) -> dict[str, str]:
    """Place → digest of what a golden could hold of a nest of outputs."""
    digests = {}
    for place, leaf in flatten(returned):
        if is_numeric(leaf):
            try:
                digests[place] = digest(to_numpy(leaf))
            except CaptureError:
                continue
    return digests
