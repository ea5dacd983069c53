"""`agent-otel demo`: two simulated agents, measured through the real SDK, and their production metrics as a table.

`agents` is written as a user's code would be; `vendors` and `simulated_time` are the world that it runs in,
`simulation` the traffic, `incidents` what goes wrong. `evaluator` is a Prometheus in small: it runs our recording rules
and alerts (`promql`, `vectors`) on the SDK's points (`series`), and `screen` lays the table out. `command` has the
options, `export` and `stage` set the SDK up, `show` runs it all.
"""
