"""`python -m agent_otel` is `agent-otel`."""

from agent_otel.cli import main

if __name__ == "__main__":
    main()
