"""Samples in a golden file: read back whole, and refused where their parts do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_recordings import NAME, digest, entry, joined, record, recording, split
from test_codec import as_bytes

from pytest_keras_golden.compare.sampling import sampled
from pytest_keras_golden.errors import CorruptGoldenError, StoreError
from pytest_keras_golden.records import Recording, TensorRecord
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.header import checksum

VALUES = np.random.default_rng(0).normal(size=(2, 32, 64)).astype(np.float32)
KEPT = sampled(record("hidden", VALUES), 1 << 10)
SUMS = "@sums/hidden"


def made(kept: TensorRecord = KEPT, values: np.ndarray[Any, Any] = VALUES) -> Recording:
    whole = recording(kept)
    said = replace(entry(0, record("hidden", values)), sample=kept.sample)
    return replace(whole, header=replace(whole.header, tensors=(said,)))


RAW = as_bytes(made())
HEADER, BODY = split(RAW)
DOCUMENT = json.loads(HEADER["__metadata__"]["keras_golden"])
SAMPLE = DOCUMENT["tensors"][0]["sample"]


def with_sample(**changes: Any) -> bytes:
    tensors = [{**DOCUMENT["tensors"][0], "sample": {**SAMPLE, **changes}}]
    document = {**DOCUMENT, "tensors": tensors}
    document["checksum"] = checksum(document)
    return joined({**HEADER, "__metadata__": {"keras_golden": json.dumps(document)}}, BODY)


def with_sums(**changes: Any) -> bytes:
    return joined({**HEADER, SUMS: {**HEADER[SUMS], **changes}}, BODY)


def without_sums() -> bytes:
    rest = {name: dict(place) for name, place in HEADER.items() if name != SUMS}
    begin, end = HEADER[SUMS]["data_offsets"]
    places = {name: place for name, place in rest.items() if name != "__metadata__"}
    for place in places.values():
        if place["data_offsets"][0] >= end:
            place["data_offsets"] = [at - (end - begin) for at in place["data_offsets"]]
    return joined(rest, BODY[:begin] + BODY[end:])


BAD = {
    "steps that are no powers": (with_sample(steps=[1, 3, 1]), "is no sample of it"),
    "steps of nothing": (with_sample(steps=[1, 0, 1]), "is no sample of it"),
    "steps without end": (with_sample(steps=[1, 1 << 80, 1]), "is no sample of it"),
    "too few steps": (with_sample(steps=[1, 2]), "is no sample of it"),
    "of another shape": (with_sample(shape=[2, 32, 65]), "is no sample of it"),
    "other steps": (with_sample(steps=[1, 1, 1]), "in its metadata"),
    "no digest": (with_sample(digest="x"), "no xxh3-128 digest"),
    "sums without a digest": (with_sample(sums="x"), "no xxh3-128 digest"),
    "a word for steps": (with_sample(steps="all"), "steps"),
    "sums of integers": (with_sums(dtype="I32"), "no vector of float32"),
    "sums that are a matrix": (with_sums(shape=[2, KEPT.sums.size // 2]), "no vector of float32"),
    "no sums": (without_sums(), "sums of 'hidden' are missing"),
}


def test_a_sample_is_read_back(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(RAW)
    with Golden.open(tmp_path / NAME) as golden:
        (tensor,) = golden.header.tensors
        assert (tensor.shape, tensor.sample) == (VALUES.shape, KEPT.sample)
        np.testing.assert_array_equal(golden.array("hidden"), KEPT.value)
        np.testing.assert_array_equal(golden.sums("hidden"), KEPT.sums)
        assert golden.verify() == []
    assert len(RAW) < VALUES.nbytes // 2


@pytest.mark.parametrize("name", BAD)
def test_a_sample_that_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    raw, said = BAD[name]
    (tmp_path / NAME).write_bytes(raw)
    with pytest.raises(CorruptGoldenError, match=said):
        Golden.open(tmp_path / NAME)


@pytest.mark.parametrize("place", ["hidden", SUMS])
def test_damage_is_found_where_it_is_read(tmp_path: Path, place: str) -> None:
    at = len(RAW) - len(BODY) + HEADER[place]["data_offsets"][0]
    damaged = bytearray(RAW)
    damaged[at] ^= 1
    (tmp_path / NAME).write_bytes(damaged)
    with Golden.open(tmp_path / NAME) as golden:
        assert golden.verify() != []
        read = golden.sums if place == SUMS else golden.array
        with pytest.raises(CorruptGoldenError, match="digest on record"):
            read("hidden")


@pytest.mark.parametrize("size", [3, 4096, 8192])
def test_sums_are_a_power_of_two_and_fewer_than_elements(size: int) -> None:
    sums = np.zeros(size, np.float32)
    assert KEPT.sample is not None
    kept = replace(KEPT, sums=sums, sample=replace(KEPT.sample, sums=digest(sums)))
    with pytest.raises(StoreError, match="no power of two below its elements"):
        as_bytes(made(kept))


def test_no_sample_stands_for_integers() -> None:
    assert KEPT.sample is not None
    value = np.zeros(KEPT.value.shape, np.int32)
    kept = replace(KEPT, value=value, sample=replace(KEPT.sample, digest=digest(value)))
    with pytest.raises(StoreError, match="is no sample of it"):
        as_bytes(made(kept, VALUES.astype(np.int32)))
