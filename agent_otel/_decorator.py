"""Any function, sync or async, generator or not, measured as one operation for each call.

One primitive serves all four kinds: an operation that can be started and ended. A generator's operation is
current only while the generator's body runs, never while its consumer does, so that two interleaved generators
don't take each other's calls. A generator that its consumer leaves ends with `GeneratorExit`.

The event loop must not learn of the async generator inside: at its end it closes every one that it knows at the
same time, and the outer one's `aclose()` would find the inner one closing already.
"""

from __future__ import annotations

import functools
import inspect
import sys
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
        """See what the function returned."""

    def yielded(self, value: Any) -> None:
        """See what the generator yielded."""


def measured(function: Callable[..., Any], begin: Callable[[], Operation]) -> Callable[..., Any]:
    """Wrap a function so that each call is an operation of its own.

    Args:
        function: `def`, `async def`, a generator function or an async generator function.
        begin: Makes the operation of one call.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(measured(function.__func__, begin))
    wrapper = _kind(function)(function, begin)
    return functools.wraps(function)(wrapper)


def body_of(function: Any) -> Any:
    """What runs when it is called: of a callable object, its `__call__`.

    Args:
        function: Any callable.
    """
    if inspect.isroutine(function) or inspect.isclass(function) or isinstance(function, functools.partial):
        return function
    return getattr(function, "__call__", function)  # noqa: B004 -- to look at it, not to ask


def _kind(function: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    called = body_of(function)
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
        if inspect.iscoroutine(value):  # an async function behind a plain wrapper
            return _awaited(operation, lambda: value)
        operation.end()
        return value

    return wrapper


async def _awaited(operation: Operation, call: Callable[[], Any]) -> Any:
    try:
        value = await call()
        operation.returned(value)
    except BaseException as error:
        operation.end(error)
        raise
    operation.end()
    return value


def _coroutine(function: Callable[..., Any], begin: Callable[[], Operation]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = begin()
        operation.start()
        return await _awaited(operation, functools.partial(function, *args, **kwargs))

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
                    operation.yielded(item)
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
        resume: Callable[[], Any] = functools.partial(_first, body)
        try:
            while True:
                with operation.resumed():
                    item = await resume()
                    operation.yielded(item)
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


def _first(body: AsyncGenerator[Any, Any]) -> Any:
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=_leave_alone)
    try:
        return body.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _leave_alone(_body: object) -> None:
    """The wrapper closes its body."""
