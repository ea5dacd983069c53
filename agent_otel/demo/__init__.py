"""`agent-otel demo`: two simulated agents, measured through the real SDK, and their production metrics as a table.

`agents` is written as a user's code would be; `vendors` and `simulated_time` are the world that it runs in,
`simulation` the traffic. `rows` works the metrics out and `screen` lays them out. `command` has the options,
`export` and `stage` set the SDK up, `show` runs it all.
"""
