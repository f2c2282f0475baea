import io
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from store_recordings import (
    DTYPES,
    NAME,
    arrays,
    bits,
    digest,
    record,
    recording,
    sample,
    with_entry,
)

from pytest_keras_golden.errors import StoreError
from pytest_keras_golden.records import LayerCall, Tolerance
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.dtypes import CODES
from pytest_keras_golden.store.encoding import encode, encoded_size, write


def written(folder, made):
    path = folder / NAME
    with path.open("wb") as file:
        write(file, encode(made))
    return path


def as_bytes(made):
    file = io.BytesIO()
    write(file, encode(made))
    return file.getvalue()


@settings(max_examples=200)
@given(st.lists(arrays(), max_size=4), st.lists(arrays(), max_size=2))
def test_arrays_come_back_bit_for_bit(tmp_path_factory, judged, pool):
    made = recording(
        *(record(f"t{i}", array, reference=array) for i, array in enumerate(judged)),
        calls=(LayerCall("a", "Dense", tuple(map(digest, pool)), ()),),
        pool=pool,
    )
    path = written(tmp_path_factory.mktemp("golden"), made)
    with Golden.open(path) as golden:
        for i, array in enumerate(judged):
            assert bits(golden.array(f"t{i}")) == bits(array)
            assert bits(golden.reference(f"t{i}")) == bits(array)
        for array in pool:
            assert bits(golden.pooled(digest(array))) == bits(array)
        assert golden.verify() == []
    assert path.stat().st_size == encoded_size(made)


def test_the_header_comes_back(tmp_path):
    made = sample(stack={"keras": "3.5.0", "threads": 2, "flags": {"tf32": None, "x": [1, 2.5]}})
    made = with_entry(made, 0, rms=0.123457, detects=float("inf"), noise=0.0)
    made = with_entry(made, 1, rms=1e-30, detects=3e-5, tolerance=Tolerance(rtol=0.0, atol=1e-5))
    with Golden.open(written(tmp_path, made)) as golden:
        assert golden.header == made.header
        assert golden.header.entry("logits").tolerance == Tolerance(rtol=0.0, atol=1e-5)


@given(
    st.sampled_from(["rms", "detects", "noise"]), st.floats() | st.integers(0, 9) | st.just(np.pi)
)
def test_numbers_come_back(tmp_path_factory, key, number):
    made = with_entry(sample(), 0, **{key: number})
    with Golden.open(written(tmp_path_factory.mktemp("golden"), made)) as golden:
        assert repr(getattr(golden.header.tensors[0], key)) == repr(float(number))


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
        lambda name: name[0] != "@"
    )
)
def test_names_come_back(tmp_path_factory, name):
    path = written(tmp_path_factory.mktemp("golden"), recording(record(name, np.zeros(2))))
    with Golden.open(path) as golden:
        assert golden.header.tensors[0].name == name
        assert golden.array(name).tolist() == [0, 0]


def test_the_safetensors_library_reads_the_file(tmp_path):
    made = sample()
    with safe_open(written(tmp_path, made), "np") as file:
        assert list(file.metadata()) == ["keras_golden"]
        assert set(file.keys()) == {
            "blocks/0/attention",
            "logits",
            "steps",
            "@reference/logits",
            f"@isolation/{digest(np.array([True, False, True]))}",
        }
        for item in made.records:
            if item.value.dtype != ml_dtypes.bfloat16:
                assert bits(file.get_tensor(item.name)) == bits(item.value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_safetensors_library_agrees_on_dtypes(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    ((name, found),) = safetensors.deserialize(as_bytes(recording(record("t", array))))
    assert (name, found["dtype"], found["shape"]) == ("t", CODES[array.dtype], [2, 3])
    assert bytes(found["data"]) == array.tobytes()


def test_same_recording_same_bytes():
    made = sample()
    other = replace(made, pool=dict(reversed(made.pool.items())))
    other = replace(
        other, header=replace(made.header, stack=dict(reversed(made.header.stack.items())))
    )
    assert as_bytes(made) == as_bytes(other)


def test_same_bytes_in_another_process():
    script = (
        "import sys, test_codec, store_recordings as s;"
        "sys.stdout.buffer.write(test_codec.as_bytes(s.sample()))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.path.dirname(__file__)},  # noqa: PTH120
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1] == as_bytes(sample())


def test_tensors_are_aligned_for_their_dtype(tmp_path):
    made = recording(
        record("a", np.zeros(3, "bool")),
        record("b", np.zeros(1, "f8")),
        record("c", np.zeros(5, "f2")),
    )
    with Golden.open(written(tmp_path, made)) as golden:
        assert all(golden.array(name).flags.aligned for name in "abc")


def test_what_is_judged_is_not_stored_for_isolation_as_well(tmp_path):
    hidden = np.ones((256, 256), "f4")
    call = LayerCall("a", "Dense", (digest(hidden),), ())
    made = recording(record("hidden", hidden), calls=(call,), pool=(hidden,))
    with Golden.open(written(tmp_path, made)) as golden:
        assert bits(golden.pooled(digest(hidden))) == bits(hidden)
    assert encoded_size(made) < 1.1 * hidden.nbytes


def test_calls_may_be_stored_without_their_tensors(tmp_path):
    made = replace(sample(isolation="unavailable: size"), pool={})
    with Golden.open(written(tmp_path, made)) as golden:
        assert golden.header.calls == made.header.calls
        with pytest.raises(StoreError, match="no tensor"):
            golden.pooled(made.header.calls[0].outputs[1])


def test_arrays_outlive_the_golden_and_are_read_only(tmp_path):
    path = written(tmp_path, sample())
    with Golden.open(path) as golden:
        array = golden.array("blocks/0/attention")
    path.unlink()
    assert bits(array) == bits(sample().records[0].value)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_opening_reads_no_tensor(tmp_path):
    path = written(tmp_path, recording(record("t", np.zeros(1 << 24, "f4"))))
    tracemalloc.start()
    with Golden.open(path) as golden:
        assert golden.array("t").shape == (1 << 24,)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_writing_holds_no_second_copy(tmp_path):
    made = recording(
        *(record(str(i), np.full((1 << 21, 2), i, "f4").T, reference=np.zeros((2, 1 << 21)))
          for i in range(3))
    )  # fmt: skip
    tracemalloc.start()
    written(tmp_path, made)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_tensor_that_is_not_there_is_an_error(tmp_path):
    with Golden.open(written(tmp_path, sample())) as golden:
        assert golden.reference("steps") is None
        with pytest.raises(StoreError, match="no tensor 'x'"):
            golden.array("x")


@pytest.mark.parametrize("value", [np.zeros(2, "c8"), np.array([None]), np.array(["text"])])
def test_unstorable_dtypes_name_the_tensor(value):
    made = replace(sample(), records=(record("blocks/0/odd", value),))
    with pytest.raises(StoreError, match=r"blocks/0/odd has dtype (complex64|object|str\d+)"):
        encode(made)


@pytest.mark.parametrize("name", ["", "@reference/x", "a\nb", "\x1b[31m", "x" * 513, "\ud800"])
def test_unusable_names_are_errors(name):
    with pytest.raises(StoreError, match="no name for a tensor"):
        encode(recording(record(name, np.zeros(2))))


def test_a_name_twice_is_an_error():
    with pytest.raises(StoreError, match="t was recorded twice"):
        encode(recording(record("t", np.zeros(2)), record("t", np.ones(2))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float16"}, "float16"),
        ({"shape": (2, 4)}, "metadata"),
        ({"name": "other"}, "other"),
        ({"digest": "x"}, "digest"),
        ({"kind": "nonsense"}, "nonsense"),
    ],
)
def test_a_header_that_does_not_fit_is_not_written(changes, message):
    with pytest.raises(StoreError, match=message):
        encode(with_entry(sample(), 0, **changes))


def test_a_tensor_overwritten_after_its_capture_is_not_written(tmp_path):
    made = sample()
    made.records[0].value[0, 0] += 1
    with pytest.raises(StoreError, match="blocks/0/attention has other bytes than when"):
        written(tmp_path, made)
