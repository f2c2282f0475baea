import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import xxhash
from hypothesis import given
from store_recordings import arrays, bits

from pytest_keras_golden.errors import StoreError
from pytest_keras_golden.store.digest import digest


@given(arrays(), arrays())
def test_equal_exactly_when_dtype_shape_and_bytes_are(one, other):
    assert (digest(one) == digest(other)) == (bits(one) == bits(other))


def test_dtype_and_shape_count():
    zeros = [np.zeros((2, 8), "f4"), np.zeros((4, 4), "f4"), np.zeros(32, "f2"), np.zeros(16, "f4")]
    assert len({digest(array) for array in zeros}) == 4
    assert digest(np.zeros((0, 3))) != digest(np.zeros((3, 0)))
    assert digest(np.zeros(1)) != digest(np.zeros(()))


@pytest.mark.parametrize(
    "arrange",
    [
        lambda array: array.transpose(2, 0, 1),
        lambda array: array[:, ::-1, ::3],
        lambda array: np.asfortranarray(array)[None],
        lambda array: array.astype(">f4"),
    ],
)
def test_arrays_of_many_blocks_in_any_layout(arrange):
    array = arrange(np.random.default_rng(0).random((3, 1500, 1000), "f4"))
    assert digest(array) == digest(np.array(array, "<f4", order="C"))


def test_is_the_hash_of_a_stated_text_and_the_bytes():
    array = np.arange(6, dtype="i4").reshape(2, 3)
    assert digest(array) == xxhash.xxh3_128_hexdigest(b"int32[2, 3]" + array.tobytes())


def test_contiguous_arrays_are_not_copied_and_others_by_the_block():
    array = np.ones((64, 1 << 18), "f4")  # 64 MiB
    for layout in (array, array.T, array[:, ::-1], array.reshape(1, 1, -1, 2)[..., ::-1]):
        tracemalloc.start()
        digest(layout)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
        tracemalloc.stop()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(2, "c8"),
        np.zeros(2, "c16"),
        np.array(["a"]),
        np.array([b"a"]),
        np.array([None]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, ml_dtypes.int4),
        np.zeros(2, np.longdouble),
    ],
)
def test_what_no_golden_holds_is_an_error(array):
    with pytest.raises(StoreError, match="dtype"):
        digest(array)


def test_platform_aliases_are_the_same_dtype():
    assert digest(np.zeros(2, np.longlong)) == digest(np.zeros(2, np.int64))
