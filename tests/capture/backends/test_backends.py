"""Tensors of every backend arrive as numpy arrays: exact dtype, own memory, no library loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.capture import backends
from pytest_keras_golden.capture.backends.nest import flatten
from pytest_keras_golden.errors import CaptureError


def run_python(code: str, backend: str = "jax") -> str:
    """Runs `code` in its own process with one Keras backend; its standard output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_numpy_arrays_are_copied_in_c_order():
    source = np.asfortranarray(np.arange(12.0).reshape(3, 4))[:, ::2]
    array = backends.to_numpy(source)
    source[0, 0] = 99
    assert array.flags.c_contiguous
    assert array.flags.owndata
    assert array[0, 0] == 0
    assert backends.to_numpy(np.float32(3)).shape == ()
    assert backends.to_numpy(np.arange(3, dtype=">f4")).dtype == np.dtype("=f4")


@pytest.mark.parametrize(
    ("value", "dtype"), [(True, "bool"), (3, "int64"), (0.5, "float64")], ids=str
)
def test_python_scalars(value, dtype):
    assert backends.to_numpy(value).dtype == dtype
    assert not backends.is_tensor(value)


@pytest.mark.parametrize(
    "value",
    [
        np.array(["a"]),
        np.array([object()]),
        np.array([1j]),
        np.ma.masked_array([1.0], [True]),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, np.longdouble),
        np.zeros(2, ml_dtypes.int4),
        np.zeros(2, "M8[s]"),
        "text",
        object(),
        [1, 2],
    ],
    ids=lambda value: getattr(getattr(value, "dtype", type(value)), "name", "type"),
)
def test_what_no_golden_can_hold_is_refused_with_a_fix(value):
    with pytest.raises(CaptureError) as caught:
        backends.to_numpy(value)
    assert caught.value.fix


@given(
    st.recursive(
        st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    )
)
def test_flatten_paths_are_unique(nest):
    paths = [path for path, _ in flatten(nest)]
    assert len(paths) == len(set(paths))


def test_active_reads_the_environment_without_importing_keras():
    code = """
        import sys
        from pytest_keras_golden.capture import backends
        print(backends.active(), "keras" in sys.modules)
    """
    assert run_python(code, "numpy").split() == ["numpy", "False"]


def test_a_jax_run_loads_no_other_backend():
    code = """
        import sys, jax.numpy as jnp
        from pytest_keras_golden.capture import backends
        backends.to_numpy(jnp.ones(2))
        assert not {"torch", "tensorflow"} & set(sys.modules)
    """
    run_python(code)


@pytest.mark.processes
def test_jax():
    code = """
        import jax, jax.numpy as jnp, numpy as np, pytest, keras
        from jax.experimental import sparse
        from pytest_keras_golden.capture import backends as b
        from pytest_keras_golden.errors import CaptureError
        for name in ("bfloat16", "float16", "float32", "float8_e4m3fn", "float8_e5m2", "int8"):
            x = jnp.asarray([1.0, 2.0, -4.0], name)
            a = b.to_numpy(x)
            assert a.dtype.name == name and a.flags.owndata
            assert a.tobytes() == np.asarray(x).tobytes()
            back = b.from_numpy(a, x)
            assert back.dtype == x.dtype and back.devices() == x.devices() and (back == x).all()
        for bad in (jax.random.key(0), sparse.BCOO.fromdense(jnp.eye(2)), jnp.ones(2, "complex64")):
            with pytest.raises(CaptureError):
                b.to_numpy(bad)
        seen = []
        def f(x):
            seen.append((b.is_tensor(x), b.is_concrete(x)))
            with pytest.raises(CaptureError, match="traced"):
                b.to_numpy(x)
            return x
        jax.jit(f)(jnp.ones(2))
        assert seen == [(True, False)]
        donated = jnp.ones(2)
        donated.delete()
        with pytest.raises(CaptureError, match="donated"):
            b.to_numpy(donated)
        v = keras.Variable(np.arange(3.0, dtype="float32"))
        assert b.is_tensor(v) and b.is_concrete(v) and b.to_numpy(v).tolist() == [0, 1, 2]
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        assert b.to_numpy(layer.kernel).shape == (3, 2)
        symbolic = keras.Input((3,))
        assert b.is_tensor(symbolic) and not b.is_concrete(symbolic)
        with pytest.raises(CaptureError, match="symbolic"):
            b.to_numpy(symbolic)
        assert b.active() == "jax"
    """
    run_python(code)


@pytest.mark.torch
def test_torch():
    code = """
        import numpy as np, torch, pytest, keras
        from pytest_keras_golden.capture import backends as b
        from pytest_keras_golden.errors import CaptureError
        for name in ("bfloat16", "float16", "float32", "float8_e4m3fn", "float8_e5m2", "int8"):
            x = torch.tensor([[1.0, 2.0], [-4.0, 0.5]]).to(getattr(torch, name)).T
            a = b.to_numpy(x)
            assert a.dtype.name == name and a.flags.c_contiguous and a.flags.owndata
            back = b.from_numpy(a, x)
            assert back.dtype == x.dtype and torch.equal(back.float(), x.float())
        x = torch.ones(3, requires_grad=True)
        a = b.to_numpy(x)
        x.data.mul_(5)
        assert a.tolist() == [1, 1, 1]
        one = b.from_numpy(a, x)
        one.add_(1)
        assert a.tolist() == [1, 1, 1]
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
        quantised = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
        wave = torch.ones(2, dtype=torch.complex64)
        for bad in (torch.eye(2).to_sparse(), nested, quantised, wave):
            with pytest.raises(CaptureError) as caught:
                b.to_numpy(bad)
            assert caught.value.fix
        assert not b.is_concrete(torch.empty(2, device="meta"))
        seen = []
        torch.func.vmap(lambda t: seen.append(b.is_concrete(t)) or t)(torch.ones(2))
        assert seen == [False]
        v = keras.Variable(np.arange(3.0, dtype="float32"))
        assert b.is_concrete(v) and b.to_numpy(v).tolist() == [0, 1, 2]
        assert b.active() == "torch"
    """
    run_python(
        "import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(code), "torch"
    )


@pytest.mark.tensorflow
def test_tensorflow():
    code = """
        import numpy as np, tensorflow as tf, pytest, keras
        from pytest_keras_golden.capture import backends as b
        from pytest_keras_golden.errors import CaptureError
        for name in ("bfloat16", "float16", "float32", "float8_e4m3fn", "float8_e5m2", "int8"):
            x = tf.cast(tf.constant([1.0, 2.0, -4.0]), name)
            a = b.to_numpy(x)
            assert a.dtype.name == name and a.flags.owndata
            back = b.from_numpy(a, x)
            assert back.dtype == x.dtype and back.device == x.device
            assert b.to_numpy(back).tobytes() == a.tobytes()
        ragged = tf.ragged.constant([[1.0], [1.0, 2.0]])
        slices = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([0]))
        bads = (ragged, tf.sparse.from_dense(tf.eye(2)), slices, tf.constant("a"), tf.constant(1j))
        for bad in bads:
            assert b.is_tensor(bad) and b.is_concrete(bad)
            with pytest.raises(CaptureError) as caught:
                b.to_numpy(bad)
            assert caught.value.fix
        v, seen = tf.Variable([1.0, 2.0]), []
        @tf.function
        def f(x):
            seen.extend((b.is_concrete(x), b.is_concrete(v)))
            return x + v
        f(tf.ones(2))
        assert seen == [False, False]
        assert b.to_numpy(v).tolist() == [1, 2]
        k = keras.Variable(np.arange(3.0, dtype="float32"))
        assert b.is_concrete(k) and b.to_numpy(k).tolist() == [0, 1, 2]
        assert b.active() == "tensorflow"
    """
    run_python(code, "tensorflow")


@pytest.mark.tensorflow
@pytest.mark.parametrize("compiled", [False, True])
def test_tensorflow_hands_over_what_the_branch_that_was_taken_has(compiled: bool):
    code = f"""
        import tensorflow as tf
        from pytest_keras_golden.capture import backends as b
        handed, received = [], []
        def kept(x):
            handed.append(b.defer(x, lambda array: received.append(array.tolist())))
            return x
        @tf.function(jit_compile={compiled})
        def f(x):
            yes, no = lambda: kept(x + 1), lambda: kept(x - 1)
            return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.cond(x[0] > 0, yes, no), no)
        for x in ([1.0, 2.0], [-1.0, 2.0], [-1.0, -2.0]):
            result = f(tf.constant(x)).numpy().tolist()
            for hand_over in handed:
                hand_over()
            assert received == [result], (received, result)
            received.clear()
        @tf.function(jit_compile={compiled})
        def looping(x):
            return tf.while_loop(lambda x: x[0] < 3, lambda x: [kept(x + 1)], [x])
        handed.clear()
        looping(tf.zeros(1))
        assert handed == [None]
    """
    run_python(code, "tensorflow")
