"""The alerts, for the stories."""

from __future__ import annotations

from tests.real.rules.story import fires, page

BURN = "AgentSuccessBudgetBurn"
RELEASE = "AgentReleaseRegression"
LATENCY = "AgentRunLatencyAboveObjective"
STUCK = "AgentRunsStuck"
TOOL_ERRORS = "AgentToolErrorRateHigh"
SPAM = "AgentToolSpam"
COST = "AgentCostAboveBudget"
UNDERREPORTED = "AgentCostUnderreported"
MODEL_ERRORS = "AgentModelErrorRateHigh"
INCOMPLETE = "AgentMetricsIncomplete"
SPIKE = "AgentTokenSpike"
SHIFT = "AgentStopReasonShift"
STOPPED = "AgentRunsStopped"
QUALITY = "AgentQualityDrop"

BOTH = (page(BURN), fires(BURN, severity="warning"))
TICKET = fires(BURN, severity="warning")
