"""The version, read by the build and by `agent_otel.__version__`."""

__version__ = "0.1.0"
