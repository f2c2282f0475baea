"""Bad goldens in a real session: no pass, one clear message, and the fix that it names works."""

import json

import pytest
from store_recordings import joined, split

from pytest_keras_golden.store.files import verify_file
from pytest_keras_golden.store.header import checksum

SUITE = """
    import numpy as np

    def test_value(golden_tensors):
        golden_tensors.check("value", np.linspace(-1, 1, 64, dtype="float32"))
"""
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture
def golden(suite):
    """The golden of a suite of one test."""
    suite.makepyfile(test_a=SUITE)
    assert suite.runpytest_inprocess("--update-goldens").ret == 0
    (path,) = suite.path.glob("goldens/**/*.safetensors")
    return path


def failing(suite, *arguments):
    """Runs the suite, which must fail; what it printed."""
    result = suite.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    return result.stdout.str()


MENDED = "replaced: the golden was damaged: "


def updated(suite, *arguments):
    """What an update printed, which must succeed."""
    result = suite.runpytest_inprocess("--update-goldens", *arguments)
    assert result.ret == 0
    return result.stdout.str()


def test_a_damaged_golden_fails_until_it_is_recorded_again(suite, golden):
    whole = golden.read_bytes()
    golden.write_bytes(whole[:-1])
    printed = failing(suite)
    assert str(golden) in printed
    assert "pytest --update-goldens" in printed
    assert "Traceback" not in printed
    assert MENDED + "its tensors end at" in updated(suite)
    assert golden.read_bytes() == whole
    assert suite.runpytest_inprocess().ret == 0


def test_an_lfs_pointer_is_not_recorded_over(suite, golden):
    """Else the numbers of this machine would silently become everyone's."""
    golden.write_bytes(LFS)
    for arguments in ((), ("--update-goldens",)):
        printed = failing(suite, *arguments)
        assert "git-LFS pointer" in printed
        assert "git lfs pull" in printed
        assert golden.read_bytes() == LFS


def test_a_link_out_of_the_goldens_folder_fails(suite, golden):
    outside = suite.path / "outside.safetensors"
    golden.rename(outside)
    golden.symlink_to(outside)
    assert "outside" in failing(suite)


def test_a_damaged_golden_of_another_version_is_not_touched(suite, golden):
    older = golden.with_name(golden.name.replace(golden.name.split("-")[1], "3.0.0"))
    golden.rename(older)
    older.write_bytes(older.read_bytes()[:-1])
    damaged = older.read_bytes()
    assert "truncated" in failing(suite, "--update-goldens")
    assert older.read_bytes() == damaged


def test_nothing_is_written_through_a_linked_folder(suite, golden):
    golden.unlink()
    golden.parent.rmdir()
    (suite.path / "outside").mkdir()
    golden.parent.symlink_to(suite.path / "outside")
    assert "outside" in failing(suite, "--update-goldens")
    assert not list((suite.path / "outside").iterdir())


MODEL = """
    import os

    import keras
    import numpy as np
    import pytest


    @pytest.fixture
    def model(golden_tensors):
        inputs = keras.Input((8,), name="x")
        changed = keras.layers.Rescaling(float(os.environ.get("CHANGE", "1")))(inputs)
        hidden = keras.layers.Dense(8, dtype="bfloat16", name="first")(changed)
        model = keras.Model(inputs, keras.layers.Dense(4, dtype="bfloat16", name="second")(hidden))
        golden_tensors.fill_weights(model)
        return model


    def test_model(golden_tensors, model):
        change = np.float32(os.environ.get("CHANGE", "1"))
        with golden_tensors.capture(model, select=["first", "second"]):
            model(np.linspace(-1, 1, 32, dtype="float32").reshape(4, 8))
        golden_tensors.check(
            {"x": np.linspace(-1, 1, 64, dtype="float32") * change},
            reference={"x": np.linspace(-1, 1, 64)},
        )
"""


@pytest.fixture
def model_golden(suite):
    """The golden of a model, with references and isolation tensors."""
    suite.makepyfile(test_a=MODEL)
    assert suite.runpytest_inprocess("--update-goldens").ret == 0
    (path,) = suite.path.glob("goldens/**/*.safetensors")
    return path


def damage(path, kind):
    """Flip the highest bit of the last byte of one tensor: of a float, its sign."""
    raw = bytearray(path.read_bytes())
    header, body = split(raw)
    # The last of its kind: the first isolation tensor is the model's input, which never changes.
    name = [name for name in header if name.startswith(kind)][-1]
    raw[len(raw) - len(body) + header[name]["data_offsets"][1] - 1] ^= 0x80
    path.write_bytes(raw)
    return name


KINDS = ("x", "first", "@reference/x", "@reference/first", "@isolation/")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_judge_nothing_and_are_mended(suite, model_golden, monkeypatch, kind):
    whole = model_golden.read_bytes()
    name = damage(model_golden, kind)
    # Nothing moved: digests in the metadata decide, and no byte of a tensor is read.
    assert suite.runpytest_inprocess().ret == 0
    with monkeypatch.context() as patch:
        patch.setenv("CHANGE", "1.5")
        printed = failing(suite)
    assert str(model_golden) in printed
    assert f"{name}: its bytes do not have the digest on record" in printed
    assert "pytest --update-goldens" in printed
    assert f"{MENDED}{name}: its bytes do not have the digest on record" in updated(suite)
    assert model_golden.read_bytes() == whole


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_replaces_damaged_bytes_though_the_numbers_moved_too(
    suite, model_golden, monkeypatch, kind
):
    damage(model_golden, kind)
    monkeypatch.setenv("CHANGE", "1.5")
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(passed=1)
    assert verify_file(model_golden) == []
    assert suite.runpytest_inprocess().ret == 0


@pytest.mark.parametrize("mode", ["changed", "all"])
def test_an_update_mends_what_another_baseline_kept_unread(suite, golden, mode):
    """The run equals the baseline asked for; its own golden, damaged, was never opened."""
    whole = golden.read_bytes()
    damage(golden, "value")
    options = ("--golden-baseline=3.0.0", f"--update-goldens-mode={mode}")
    older = golden.with_name(golden.name.replace(golden.name.split("-")[1], "3.0.0"))
    older.write_bytes(renamed(whole, golden.name.split("-")[1], "3.0.0"))
    assert (MENDED in updated(suite, *options)) == (mode == "changed")
    assert golden.read_bytes() == whole


def renamed(raw, old, new):
    """The same golden as if Keras `new` had recorded it."""
    header, body = split(raw)
    document = json.loads(header["__metadata__"]["keras_golden"])
    assert document["stack"]["keras"] == old
    document["stack"]["keras"] = new
    document["checksum"] = checksum(document)
    header["__metadata__"]["keras_golden"] = json.dumps(document)
    return joined(header, body)


def test_only_missing_goldens_are_written_where_only_those_are_asked_for(suite, golden):
    damage(golden, "value")
    damaged = golden.read_bytes()
    suite.runpytest_inprocess("--update-goldens", "--update-goldens-mode=missing")
    assert golden.read_bytes() == damaged
