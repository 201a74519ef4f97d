"""What a process says about itself: one line an event on stderr, times in UTC, traces without the values of variables."""

from __future__ import annotations

import logging
import sys

import structlog


def configure() -> None:
    """Set up structlog and the libraries' own loggers, once a process.

    A trace never prints local variables: they hold passwords, session ids and register entries.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="timestamp=%(asctime)s level=%(levelname)s logger=%(name)s event=%(message)s"
    )
