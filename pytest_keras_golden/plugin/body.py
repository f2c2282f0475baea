"""Whether a test's body succeeded, which pytest's hooks alone do not tell.

A failing `unittest.TestCase` body, a failing `subTest`, a skip and an expected failure never reach
a `pytest_runtest_call` wrapper: unittest keeps them in its own result. So the test method itself is
wrapped, and unittest's own outcome is asked when it returns.
"""

from __future__ import annotations

import functools
import inspect
import unittest
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest


class BodyWatch:
    """Context manager around the call phase of one item; `passed` tells once it has ended."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.testcase = _testcase(item)
        self.finished = self.testcase is None
        self.failed = False
        self._original: Any = None

    def __enter__(self) -> BodyWatch:
        if self.testcase is not None:
            self._wrap(self.item)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._original is not None:
            self._unwrap(self.item)
        self.failed = self.failed or error is not None or bool(getattr(self.item, "_excinfo", None))

    @property
    def passed(self) -> bool:
        return self.finished and not self.failed

    @property
    def returned(self) -> bool:
        """As `passed`, while the context is still open."""
        return self.passed and not getattr(self.item, "_excinfo", None)

    def _wrap(self, item: Any) -> None:
        self._original = item.obj
        item.obj = self._watched(item.obj)
        if inspect.iscoroutinefunction(self._original):
            # pytest leaves async methods to unittest, which looks them up on the instance.
            setattr(self.testcase, item.name, item.obj)

    def _unwrap(self, item: Any) -> None:
        item.obj = self._original
        if inspect.iscoroutinefunction(self._original):
            delattr(self.testcase, item.name)

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def watched_async(*args: Any, **kwargs: Any) -> Any:
                result = await method(*args, **kwargs)
                self._body_returned()
                return result

            return watched_async

        @functools.wraps(method)
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            self._body_returned()
            return result

        return watched

    def _body_returned(self) -> None:
        outcome = getattr(self.testcase, "_outcome", None)
        self.finished = True
        self.failed = self.failed or not getattr(outcome, "success", True)


def _testcase(item: pytest.Item) -> unittest.TestCase | None:
    instance = getattr(item, "instance", None)
    return instance if isinstance(instance, unittest.TestCase) else None
