"""Batches that a model's step reads from a data set or a generator, which gives them only once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import xxhash

from ...errors import CaptureError
from ...store.digest import digest
from ..backends import is_tensor
from ..backends.nest import exchanged, flatten
from .reads import Reads

if TYPE_CHECKING:
    from ...records import Array


@dataclass(frozen=True)
class FirstBatch:
    """data: as the first step was given it, which a step of the user's own may take apart."""

    data: Any

    @property
    def named(self) -> Mapping[str, Any]:
        """As the method for one batch takes it."""
        import keras

        x, y, weights = keras.utils.unpack_x_y_sample_weight(self.data)
        return {"x": x} | ({} if y is None else {"y": y, "sample_weight": weights})


class Batches:
    """What the steps of one call were given: a digest over it, and the first batch.

    most: so many of the batches are looked at, None for all.
    """

    def __init__(self, reads: Reads, name: str, most: int | None = None) -> None:
        self._most = most
        self._seen: Counter[str] = Counter()
        self._reads = reads
        self._name = name
        self._digests: dict[str, xxhash.xxh3_128] = {}
        self._first: dict[str, Array] = {}
        self._form: Any = None
        self._failure: CaptureError | None = None

    def read(self, data: Any) -> None:
        """Take in the data of a step, now or each time that its program runs.

        What cannot be read is told when it is asked for: the step is the test's own.
        """
        self.has_form(data)
        for place, leaf in flatten(data):
            if is_tensor(leaf):
                try:
                    self._reads.read(leaf, partial(self.take, place))
                except CaptureError as error:
                    self.failed(error)

    def has_form(self, data: Any) -> None:
        self._form = data if self._form is None else self._form

    def take(self, place: str, array: Array) -> None:
        """The part of a step's data at this place."""
        if self._most is not None and self._seen[place] >= self._most:
            return
        self._seen[place] += 1
        self._digests.setdefault(place, xxhash.xxh3_128()).update(digest(array).encode())
        self._first.setdefault(place, array)

    def failed(self, error: CaptureError) -> None:
        self._failure = self._failure or error

    def _demand_read(self) -> None:
        if self._failure is not None:
            raise self._failure

    def digests(self) -> Mapping[str, str]:
        """`predict[data]` and so on → digest over that part of every batch.

        Raises CaptureError where a part could not be read.
        """
        self._demand_read()
        start = f"{self._name}[data]"
        return {f"{start}{place}": key.hexdigest() for place, key in self._digests.items()}

    def digests_of(self, repeatable: bool) -> Mapping[str, str]:
        """None of arrays, which their own digests tell in whatever order they are read. Raises
        CaptureError where a part of others could not be read."""
        return {} if repeatable else self.digests()

    def first(self) -> FirstBatch | None:
        """None where none was read. Raises CaptureError where a part of it could not be."""
        self._demand_read()
        if not self._first:
            return None
        arrays = iter(self._first.values())
        return FirstBatch(
            exchanged(self._form, lambda leaf: next(arrays) if is_tensor(leaf) else leaf)
        )
