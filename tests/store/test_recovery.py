"""Bad goldens in a real session: no pass, one clear message, and the fix that it names works."""

import pytest

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


def test_a_damaged_golden_fails_until_it_is_recorded_again(suite, golden):
    whole = golden.read_bytes()
    golden.write_bytes(whole[:-1])
    printed = failing(suite)
    assert str(golden) in printed
    assert "pytest --update-goldens" in printed
    assert "Traceback" not in printed
    assert suite.runpytest_inprocess("--update-goldens").ret == 0
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
