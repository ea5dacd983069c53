"""Splunk Observability Cloud's ingest API."""

from agent_otel.backends import (
    DELTA,
    EXPLICIT,
    LOWMEMORY,
    PROTOCOL_ONLY,
    Backend,
    Choice,
    Limits,
    SignIn,
    Variable,
)

BACKEND = Backend(
    name="splunk",
    title="Splunk Observability Cloud",
    what="the OTLP ingest of a realm",
    docs="https://help.splunk.com/splunk-observability-cloud/manage-data/metrics-metadata-and-events/metrics-in-splunk-observability-cloud/get-histogram-data-in",
    source="2026-10-20",
    proven=PROTOCOL_ONLY,
    temporality=Choice(DELTA, (DELTA, LOWMEMORY), "Splunk keeps histograms as deltas alone"),
    histogram=Choice(EXPLICIT, (EXPLICIT,), "Splunk takes explicit buckets alone"),
    endpoint="https://ingest.{SPLUNK_REALM}.signalfx.com/v2/datapoint/otlp",
    sign_in=(SignIn("access token in a header", {"X-SF-TOKEN": "{SPLUNK_ACCESS_TOKEN}"}),),
    variables=(
        Variable(
            "SPLUNK_REALM",
            "the realm",
            "the user menu > your name > Organizations",
            pattern=r"[a-z]{2}\d",
            example="us1",
        ),
        Variable(
            "SPLUNK_ACCESS_TOKEN",
            "an access token with the scope Ingest",
            "Settings > Access Tokens",
            is_secret=True,
        ),
    ),
    limits=Limits(
        buckets=31, text="31 buckets a histogram; limits on requests belong to the token and answer 429"
    ),
    remarks=(
        "Finer histograms are merged to 31 buckets before they are sent: run durations lose steps below 2 s.",
        "A failed export is lost, as with every delta: the collector configuration retries.",
    ),
)
