"""A failure that was expected is named as one, whichever way the test says so, with its reason."""

from __future__ import annotations

import json

import pytest

SUITE = """
    import unittest

    import pytest

    class TestCase(unittest.TestCase):
        @unittest.expectedFailure
        def test_decorated(self):
            self.assertEqual(1, 2)

        @unittest.skip("not now")
        def test_skipped(self):
            pass

    @pytest.mark.xfail
    def test_marked():
        raise ValueError("boom")

    @pytest.mark.xfail(reason="a known bug")
    def test_reasoned():
        raise ValueError("boom")

    def test_called():
        pytest.xfail("later")

    @pytest.mark.xfail(run=False, reason="it crashes")
    def test_never_run():
        pass

    @pytest.fixture
    def broken():
        raise ValueError("boom")

    @pytest.mark.xfail(reason="a known bug")
    def test_set_up(broken):
        pass
"""

EXPECTED = {
    "test_decorated": ("xfailed", None),
    "test_skipped": ("skipped", "Skipped: not now"),
    "test_marked": ("xfailed", "ValueError: boom"),
    "test_reasoned": ("xfailed", "a known bug: ValueError: boom"),
    "test_called": ("xfailed", "later"),
    "test_never_run": ("xfailed", "[NOTRUN] it crashes"),
    "test_set_up": ("xfailed", "a known bug: ValueError: boom"),
}


def test_expected_failures_are_no_skips(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE)
    result = suite.runpytest_inprocess("--golden-auto", "--golden-log=log.json")
    result.assert_outcomes(xfailed=6, skipped=1)
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    found = {t["nodeid"].rpartition("::")[2]: (t["outcome"], t["reason"]) for t in tests}
    assert found == EXPECTED
