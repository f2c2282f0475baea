"""What became of a weight between its file and the model, in a word."""

from __future__ import annotations

import base64
import marshal
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from pytest_keras_golden.saved.faults import Loaded, LoadingFault, Placed, same, weight_faults
from pytest_keras_golden.saved.settings import setting_faults

RANDOM = np.random.RandomState(0)
A, B = (RANDOM.normal(size=(4, 4)).astype(np.float32) for _ in range(2))


POLICY = {"class_name": "DTypePolicy", "config": {"name": "float32"}}


def faults(*pairs: tuple[str, Any, Any], rest: Any = None) -> list[LoadingFault]:
    placed = [Placed(name, name, stored, held) for name, stored, held in pairs]
    return list(weight_faults(Loaded(placed, rest or {})))


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        (A.T.copy(), "transposed"),
        (np.zeros_like(A), "reset"),
        (np.ones_like(A), "reset"),
        (A.astype(np.float16).astype(np.float32), "cast"),
        (A.astype(ml_dtypes.bfloat16), "cast"),
        (A + 1e-7, "other"),
        (A[:2], "other"),
    ],
)
def test_a_weight_that_is_not_its_files_is_told_in_a_word(held: Any, kind: str) -> None:
    assert [fault.kind for fault in faults(("a", A, held))] == [kind]


def test_two_weights_that_changed_places_name_each_other() -> None:
    found = faults(("a", A, B), ("b", B, A))
    assert [(f.kind, f.said) for f in found] == [
        ("swapped", "holds what the file has for b"),
        ("swapped", "holds what the file has for a"),
    ]


def test_what_the_model_lacks_is_missing_unless_it_lies_elsewhere() -> None:
    assert [fault.kind for fault in faults(("a", A, None))] == ["missing"]
    assert faults(("a", A, None), rest={"moved/a": A.copy()}) == []


def test_what_the_file_lacks_is_told() -> None:
    assert [fault.kind for fault in faults(("a", A, A), rest={"new": B})] == ["not in the file"]


def test_another_dtype_is_the_same_where_nothing_is_lost() -> None:
    halves = A.astype(np.float16)
    assert same(halves, halves.astype(np.float32))
    assert same(np.array(7, np.int64), np.array(7, np.int32))
    assert not same(A, halves)
    assert same(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))


def layer(**config: Any) -> dict[str, Any]:
    return {"class_name": "Dense", "config": {"name": "d", **config}}


@pytest.mark.parametrize(
    ("file", "loaded"),
    [
        ({"epsilon": 1e-3}, {"epsilon": 1e-6}),
        ({"epsilon": 1e-3}, {}),
        ({"use_bias": True}, {"use_bias": False}),
        ({"activation": "relu"}, {"activation": "gelu"}),
        ({"strides": [2, 2]}, {"strides": [1, 1]}),
        ({"layer": layer(units=3)}, {"layer": layer(units=4)}),
        ({"cells": [layer(units=3)]}, {"cells": [layer(units=4)]}),
    ],
)
def test_settings_of_the_file_that_the_model_has_not(
    file: dict[str, Any], loaded: dict[str, Any]
) -> None:
    found = list(setting_faults(layer(**file), layer(**loaded), "d"))
    assert [fault.kind for fault in found] == ["configuration"]
    assert found[0].name.startswith("d.")


@pytest.mark.parametrize(
    ("file", "loaded"),
    [
        ({}, {"new_setting": 3}),
        ({"old": None}, {}),
        ({"rate": 0.001}, {"rate": float(np.float32(0.001))}),
        ({"strides": [2, 2]}, {"strides": (2, 2)}),
        ({"dtype": "float32"}, {"dtype": POLICY}),
        ({"activation": "relu"}, {"activation": {"class_name": "function", "config": "relu"}}),
        ({"kernel_initializer": "glorot_uniform"}, {"kernel_initializer": {}}),
        ({"regularizer": "L2"}, {"regularizer": {"class_name": "L2", "config": {}}}),
    ],
)
def test_what_releases_only_write_otherwise_is_no_fault(
    file: dict[str, Any], loaded: dict[str, Any]
) -> None:
    assert list(setting_faults(layer(**file), layer(**loaded), "d")) == []


@pytest.mark.parametrize(
    ("file", "loaded"),
    [({"axis": [3]}, {"axis": 3}), ({"activation": "swish"}, {"activation": "silu"})],
)
def test_nor_is_what_keras_2_wrote_otherwise(file: dict[str, Any], loaded: dict[str, Any]) -> None:
    assert list(setting_faults(layer(**file), layer(**loaded), "d")) == []


def test_what_keras_2_wrote_stays_what_it_is() -> None:
    for file, loaded in (
        ({"axis": [3]}, {"axis": 1}),
        ({"axis": [1, 2]}, {"axis": 1}),
        ({"activation": "swish"}, {"activation": "gelu"}),
    ):
        assert len(list(setting_faults(layer(**file), layer(**loaded), "d"))) == 1


def leaky(**config: Any) -> dict[str, Any]:
    return {"class_name": "LeakyReLU", "config": {"name": "l", **config}}


def test_a_slope_is_known_by_both_its_names() -> None:
    assert list(setting_faults(leaky(alpha=0.2), leaky(negative_slope=0.2), "l")) == []
    (fault,) = setting_faults(leaky(alpha=0.2), leaky(negative_slope=0.3), "l")
    assert (fault.name, fault.said) == ("l.alpha", "is 0.3, in the file 0.2")


def test_layers_are_compared_by_their_names() -> None:
    file = {"class_name": "Functional", "config": {"layers": [layer(units=3)]}}
    other = {"class_name": "Model", "config": {"layers": [layer(units=4)]}}
    assert [f.name for f in setting_faults(file, other)] == ["d.units"]
    gone = {"class_name": "Functional", "config": {"layers": []}}
    assert [f.said for f in setting_faults(file, gone)] == ["is a layer of the file alone"]


def test_a_function_is_the_same_however_it_is_written() -> None:
    def written(text: str, version: int) -> str:
        code = eval(text).__code__
        return base64.b64encode(marshal.dumps(code, version)).decode()

    def told(file: str, loaded: str, kind: str = "__lambda__") -> list[str]:
        both = ({"class_name": kind, "config": {"code": code}} for code in (file, loaded))
        return [fault.name for fault in setting_faults(*both)]

    one, other, third = (
        written("lambda x: (x, x + 3.0)", 4),
        written("lambda x: (x, x + 3.0)", 2),
        written("lambda x: (x, x + 4.0)", 4),
    )
    assert one != other
    assert told(one, other) == []
    assert told(one, third) == ["code"]
    assert told(one, one[:40] + "!" * 40) == ["code"]
    # What nobody has run is no code to be read.
    assert told(one, other, "Own") == ["code"]
