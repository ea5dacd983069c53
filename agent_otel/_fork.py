"""What a forked child does: it reports itself alone.

Rules:

1. The SDK lets a child inherit the parent's totals. So the child gets a provider of its own for `agent_otel`'s
   scope, when it first measures something, and the inherited exporters leave that scope out.
2. At the fork itself no thread is started and no lock is waited for.
3. A child whose pipeline can't be built runs on without metrics, and says so.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent_otel import _preset, agent_metrics, catalog
from agent_otel._pipeline import at_exit, build, here, record_nothing

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from agent_otel._plan import Plan

_logger: Final = logging.getLogger(__name__)

_GAVE_UP: Final = "agent_otel records nothing in this forked process: call configure() after the fork"


def configure_child(plan: Plan) -> MeterProvider:
    """Build a plan of the child's own as it is; of the parent's, what two processes can both have.

    Args:
        plan: What the child asks for.

    Raises:
        ConfigurationError: An exporter refuses its variables, or a port is taken.
    """
    if plan != here.asked:
        return build(plan)
    names = tuple(name for name in plan.names if name != "prometheus")
    if names != plan.names or plan.readers:
        _logger.warning(
            "agent_otel: a forked process can't serve the Prometheus page of its parent, nor use its readers: export"
            " with otlp, or call configure() after the fork, with a port for each process"
        )
    if names or not (plan.names or plan.readers):
        return build(replace(plan, names=names, readers=()), plan)
    return record_nothing("nothing of the parent's configuration serves a forked process")


def _in_child() -> None:
    """Begin anew in a forked child; what it inherited keeps everything but agent_otel's scope."""
    here.lock = threading.RLock()
    _preset.begin_anew()
    if here.asked is None or here.is_final:
        return
    try:
        if here.pipeline is not None:
            here.inherited.append(here.pipeline)
            here.provider = here.pipeline = None
        for parents in here.inherited:
            parents.exporting.inherit(catalog.SCOPE)
        if here.inherited:
            agent_metrics.default.begin_anew()
            agent_metrics.default.recorder.find_provider = _build_in_child
            _end_with_multiprocessing()
    except Exception:
        _logger.exception(_GAVE_UP)
        here.inherited = []  # at exit they would export our scope a second time
        agent_metrics.default.settle()


def _build_in_child() -> None:
    """What the first run in a forked child calls, in place of looking for a provider."""
    try:
        with here.lock:
            if here.asked is not None and here.provider is None and not here.is_final:
                configure_child(here.asked)
    except Exception:
        _logger.exception(_GAVE_UP)
        agent_metrics.default.settle()


def _end_with_multiprocessing() -> None:
    """Deliver at the end of a `multiprocessing` child, which leaves atexit out."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(here, lambda _: util.Finalize(None, at_exit, exitpriority=0))


if hasattr(os, "register_at_fork"):  # pragma: no branch -- Windows has no fork
    os.register_at_fork(after_in_child=_in_child)
