"""Any function, sync or async, generator or not, measured as one operation for each call.

One primitive serves all four kinds: an operation that can be started and ended. A generator's operation is
current only while the generator's body runs, never while its consumer does, so that two interleaved generators
don't take each other's calls. A generator that its consumer leaves ends with `GeneratorExit`.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager


class Operation(Protocol):
    """What is measured: a run, an inference or a tool call."""

    def start(self) -> Any:
        """Begin to measure."""

    def end(self, error: BaseException | None = None) -> None:
        """Record, with the exception that left the function."""

    def resumed(self) -> AbstractContextManager[object]:
        """Make the operation current while a generator's body runs."""

    def returned(self, value: Any) -> None:
        """See what the function returned or yielded."""


def measured(function: Callable[..., Any], begin: Callable[[], Operation]) -> Callable[..., Any]:
    """Wrap a function so that each call is an operation of its own.

    Args:
        function: `def`, `async def`, a generator function or an async generator function.
        begin: Makes the operation of one call.
    """
    wrapper = _kind(function)(function, begin)
    return functools.wraps(function)(wrapper)


def _kind(function: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    called = function if inspect.isroutine(function) or isinstance(function, functools.partial) else function.__call__
    if inspect.isasyncgenfunction(called):
        return _async_generator
    if inspect.isgeneratorfunction(called):
        return _generator
    if inspect.iscoroutinefunction(called):
        return _coroutine
    return _function


def _function(function: Callable[..., Any], begin: Callable[[], Operation]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = begin()
        operation.start()
        try:
            value = function(*args, **kwargs)
            operation.returned(value)
        except BaseException as error:
            operation.end(error)
            raise
        operation.end()
        return value

    return wrapper


def _coroutine(function: Callable[..., Any], begin: Callable[[], Operation]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = begin()
        operation.start()
        try:
            value = await function(*args, **kwargs)
            operation.returned(value)
        except BaseException as error:
            operation.end(error)
            raise
        operation.end()
        return value

    return wrapper


def _generator(function: Callable[..., Any], begin: Callable[[], Operation]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        operation = begin()
        with operation.resumed():
            operation.start()
            body = function(*args, **kwargs)
        resume: Callable[[], Any] = functools.partial(next, body)
        try:
            while True:
                with operation.resumed():
                    item = resume()
                    operation.returned(item)
                try:
                    resume = functools.partial(body.send, (yield item))
                except GeneratorExit:
                    with operation.resumed():
                        body.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 -- the body decides what becomes of it
                    resume = functools.partial(body.throw, thrown)
        except StopIteration as stop:
            operation.end()
            return stop.value
        except BaseException as error:
            operation.end(error)
            raise

    return wrapper


def _async_generator(function: Callable[..., Any], begin: Callable[[], Operation]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        operation = begin()
        with operation.resumed():
            operation.start()
            body = function(*args, **kwargs)
        resume: Callable[[], Any] = body.__anext__
        try:
            while True:
                with operation.resumed():
                    item = await resume()
                    operation.returned(item)
                try:
                    resume = functools.partial(body.asend, (yield item))
                except GeneratorExit:
                    with operation.resumed():
                        await body.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 -- the body decides what becomes of it
                    resume = functools.partial(body.athrow, thrown)
        except StopAsyncIteration:
            operation.end()
        except BaseException as error:
            operation.end(error)
            raise

    return wrapper
