"""Recordings for the store's tests, made without any backend."""

import json
import os
from dataclasses import replace

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pytest_keras_golden.errors import StoreError
from pytest_keras_golden.records import (
    GoldenHeader,
    LayerCall,
    Recording,
    TensorEntry,
    TensorRecord,
    Tolerance,
)
from pytest_keras_golden.store.digest import digest

STACK = {"keras": "3.5.0", "backend": "jax", "device": "cpu", "dtype_policy": "float32"}
NAME = "keras-3.5.0-jax-cpu-float32.safetensors"
DTYPES = [
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
]


def record(name, value, **fields):
    return TensorRecord(name, value, **fields)


def entry(order, item):
    return TensorEntry(
        name=item.name,
        order=order,
        kind=item.kind,
        dtype=item.value.dtype.name,
        shape=item.value.shape,
        precision=item.precision or item.value.dtype.name,
        judged=item.judged,
        source=item.source,
        digest=digest(item.value),
        rms=1.0,
        tolerance=item.tolerance,
    )


def recording(*records, calls=(), pool=(), **header):
    entries = tuple(entry(order, item) for order, item in enumerate(records))
    pool = {digest(array): array for array in pool}
    return Recording(
        GoldenHeader(**{"stack": STACK, "mode": "eager", **header}, tensors=entries, calls=calls),
        records,
        pool,
    )


def sample(seed=0, **header):
    """A recording with everything that a golden may hold."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(2, 3, 5)).astype(ml_dtypes.bfloat16)
    hidden = random.normal(size=(4, 2)).astype(np.float32)
    mask = np.array([True, False, True])
    call = LayerCall(
        "blocks/0/dense@1", "Dense", (digest(hidden),), (digest(logits), digest(mask)), "bfloat16"
    )
    return recording(
        record("blocks/0/attention", hidden, kind="attention", source="reconstructed"),
        record(
            "logits",
            logits,
            kind="logits",
            tolerance=Tolerance(k=5.0),
            reference=logits.astype(np.float32),
        ),
        record("steps", np.array(7, np.int64), judged=False),
        calls=(call,),
        pool=(hidden, mask),
        **{
            "weights": {"dense/kernel": "0" * 32},
            "inputs": {"0": "1" * 32},
            "reason": "bump\nof Keras",
            "observer": "identical",
            **header,
        },
    )


def with_entry(made, position, **changes):
    """The recording with one tensor's entry changed."""
    entries = list(made.header.tensors)
    entries[position] = replace(entries[position], **changes)
    return replace(made, header=replace(made.header, tensors=tuple(entries)))


def arrays(dtypes=DTYPES):
    """Arrays of any storable dtype and any bits, NaN payloads and -0.0 too; also non-contiguous."""
    return st.sampled_from(dtypes).flatmap(_of_dtype).flatmap(_rearranged)


def _of_dtype(dtype):
    dtype = np.dtype(dtype)
    shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    if dtype == np.bool_:
        return npst.arrays(dtype, shapes)
    bits = np.dtype(f"uint{8 * dtype.itemsize}")
    return npst.arrays(bits, shapes).map(lambda array: _viewed(array, dtype))


def _viewed(array, dtype):
    return array.reshape(-1).view(dtype).reshape(array.shape)


def _rearranged(array):
    ways = [array, array.T, array[::-1] if array.ndim else array, np.asfortranarray(array)]
    if array.ndim:
        ways += [array[..., ::2], np.broadcast_to(array, (2, *array.shape))]
    if array.dtype.kind in "iuf" and array.dtype.itemsize > 1 and array.dtype.isbuiltin == 1:
        ways.append(array.astype(array.dtype.newbyteorder(">")))
    return st.sampled_from(ways)


def bits(array):
    """dtype, shape and C-order bytes, by another way than the store's."""
    array = np.asarray(array)
    little = array.astype(array.dtype.newbyteorder("<")) if array.dtype.byteorder == ">" else array
    return (little.dtype.name, array.shape, little.tobytes("C"))


def split(raw):
    """A file's JSON header and body."""
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def as_nobody(action):
    """What `action` raises for a user who may not do everything, as root may."""
    root = os.geteuid() == 0
    # No fork: jax, which another test may have loaded, warns of one.
    if root:
        os.seteuid(65534)
    try:
        action()
    except StoreError as error:
        return str(error)
    finally:
        if root:
            os.seteuid(0)
    return "nothing was raised"
