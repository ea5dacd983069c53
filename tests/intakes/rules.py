"""What an intake of OTLP metrics can demand of a request, each demand a value that refuses what breaks it.

A rule says what the vendor says: a refusal with its HTTP status, a part that is rejected with status 200, as OTLP has
it, or a loss of which the sender isn't told. The table in `vendors.py` gives each vendor its rules; `server.py` puts them on the wire.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOBUF = "application/x-protobuf"
UNPACK = {"identity": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}


class Refused(NamedTuple):
    """A refused request, as its sender gets to know it."""

    status: int
    reason: str


class Rejected(NamedTuple):
    """Points that are rejected while the others are taken, with status 200: OTLP's partial success."""

    points: int
    reason: str


class Lost(NamedTuple):
    """Something that the vendor takes with status 200 and doesn't keep, or not all of it; the sender isn't told."""

    reason: str


malformed = partial(Refused, 400)


@dataclass(frozen=True)
class Request:
    """A request as it came in; header names are in lower case."""

    host: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def encoding(self):
        return self.headers.get("content-encoding", "identity")

    @cached_property
    def unpacked(self):
        return UNPACK[self.encoding](self.body)

    @cached_property
    def message(self):
        return ExportMetricsServiceRequest.FromString(self.unpacked)

    @cached_property
    def metrics(self):
        return [
            metric
            for resource in self.message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    @cached_property
    def points(self):
        """Each point with its metric."""
        return [(metric, point) for metric in self.metrics for point in data_of(metric).data_points]


def data_of(metric):
    """A sum, a gauge, a histogram or an exponential histogram."""
    return getattr(metric, metric.WhichOneof("data"))


@dataclass(frozen=True)
class Path:
    """Where requests go."""

    path: str

    def judge(self, request):
        if request.path != self.path:
            return Refused(404, f"no such path: {request.path}")
        return None


@dataclass(frozen=True)
class ContentType:
    """The only content type. Some vendors take OTLP as JSON, too: nothing of ours sends it."""

    kind: str = PROTOBUF

    def judge(self, request):
        given = request.headers.get("content-type")
        if given != self.kind:
            return Refused(415, f"unsupported content type {given!r}: send {self.kind}")
        return None


@dataclass(frozen=True)
class Key:
    """The header that authenticates. A key is known at one host only: elsewhere it is as wrong as any other."""

    header: str
    value: str
    host: str
    without: Refused
    wrong: Refused

    def judge(self, request):
        given = request.headers.get(self.header)
        if given is None:
            return self.without
        return None if (given, request.host) == (self.value, self.host) else self.wrong


@dataclass(frozen=True)
class Header:
    """Another header, without which the vendor files the metrics where nobody looks."""

    header: str
    without: Lost

    def judge(self, request):
        return None if request.headers.get(self.header) else self.without


@dataclass(frozen=True)
class Encodings:
    """The content encodings that are understood, besides none."""

    names: tuple[str, ...]

    def judge(self, request):
        if request.encoding not in {"identity", *self.names}:
            return Refused(
                415, f"unsupported content encoding {request.encoding}: use {', '.join(self.names)}"
            )
        return None


@dataclass(frozen=True)
class Size:
    """The most bytes: as they are sent, as they are sent without compression, and after unpacking."""

    sent: float = math.inf
    plain: float = math.inf
    unpacked: float = math.inf

    def judge(self, request):
        sent, unpacked = len(request.body), len(request.unpacked)
        limit = min(self.sent, self.plain) if request.encoding == "identity" else self.sent
        if sent > limit:
            return Refused(413, f"payload of {sent} bytes exceeds {limit}")
        if unpacked > self.unpacked:
            return Refused(413, f"payload of {unpacked} bytes after decompression exceeds {self.unpacked}")
        return None


@dataclass(frozen=True)
class Points:
    """The most points of a request."""

    most: int

    def judge(self, request):
        if len(request.points) > self.most:
            return malformed(f"{len(request.points)} data points exceed {self.most} of a request")
        return None


@dataclass(frozen=True)
class Attributes:
    """The most attributes of a point, and how long their names and values may be."""

    verdict: Callable[[str], object]
    most: int
    name_length: float = math.inf
    value_length: float = math.inf

    def judge(self, request):
        for metric, point in request.points:
            too_long = [
                pair.key
                for pair in point.attributes
                if len(pair.key) > self.name_length or len(pair.value.string_value) > self.value_length
            ]
            if len(point.attributes) > self.most or too_long:
                reason = f"{metric.name}: {len(point.attributes)} attributes, too long: {too_long}"
                return self.verdict(reason)
        return None


@dataclass(frozen=True)
class Delta:
    """Counters and histograms must be deltas. An up-down counter may be cumulative: it is kept as a gauge."""

    verdict: Callable[[str], object]
    reason: str
    kinds: tuple[str, ...] = ("sum", "histogram", "exponential_histogram")

    def judge(self, request):
        wrong = sorted({metric.name for metric in request.metrics if self._is_wrong(metric)})
        return self.verdict(f"{self.reason}: {', '.join(wrong)}") if wrong else None

    def _is_wrong(self, metric):
        kind, data = metric.WhichOneof("data"), data_of(metric)
        if kind not in self.kinds or (kind == "sum" and not data.is_monotonic):
            return False
        return data.aggregation_temporality != AGGREGATION_TEMPORALITY_DELTA


@dataclass(frozen=True)
class Cumulative:
    """Counters and histograms should be cumulative: of deltas the vendor's `rate()` makes nonsense."""

    reason: str

    def judge(self, request):
        wrong = sorted(
            {
                metric.name
                for metric in request.metrics
                if getattr(data_of(metric), "aggregation_temporality", None) == AGGREGATION_TEMPORALITY_DELTA
            }
        )
        return Lost(f"{self.reason}: {', '.join(wrong)}") if wrong else None


@dataclass(frozen=True)
class Keeps:
    """The kinds of histogram of which buckets, and so percentiles, are kept."""

    kind: str
    most_buckets: int | None = None

    def judge(self, request):
        for metric, point in request.points:
            kind = metric.WhichOneof("data")
            if "histogram" in kind and kind != self.kind:
                return Lost(f"{metric.name}: no percentiles of a {kind.replace('_', ' ')}")
            if self.most_buckets and kind == "histogram" and len(point.bucket_counts) > self.most_buckets:
                return Lost(
                    f"{metric.name}: dropped, {len(point.bucket_counts)} buckets exceed {self.most_buckets}"
                )
        return None


@dataclass(frozen=True)
class ResourceAttribute:
    """An attribute that each resource must have, with its value."""

    key: str
    value: str
    reason: str

    def judge(self, request):
        for resource in request.message.resource_metrics:
            found = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            if found.get(self.key) != self.value:
                return malformed(f"{self.reason}: {self.key}={found.get(self.key)!r}")
        return None


@dataclass(frozen=True)
class Names:
    """How metrics and attributes may be called."""

    metric: str
    attribute: str

    def judge(self, request):
        bad = [name for metric, point in request.points if (name := self._bad(metric, point))]
        return Rejected(len(bad), f"invalid names: {', '.join(sorted(set(bad)))}") if bad else None

    def _bad(self, metric, point):
        if not re.fullmatch(self.metric, metric.name):
            return metric.name
        return next(
            (pair.key for pair in point.attributes if not re.fullmatch(self.attribute, pair.key)), None
        )


@dataclass(frozen=True)
class InstrumentationKey:
    """The key that stands in each item of Azure's own protocol, which isn't OTLP."""

    value: str

    def judge(self, request):
        if any(item["iKey"] != self.value for item in json.loads(request.unpacked)):
            return malformed("Invalid instrumentation key")
        return None


@dataclass(frozen=True)
class Intake:
    """A vendor's intake.

    Args:
        hosts: Of each region, as the vendor's documentation has them; the first one knows the key.
        rules: In the order in which they are looked at.
        prefers: The temporality of counters and histograms that the vendor asks for.
        source: Where the vendor says so.
        speaks: How it answers. `status` is OTLP's own refusal, a `google.rpc.Status`; `json` is how the vendor's other
            APIs refuse, where the documentation of this one is silent; `track` is Azure's own protocol.
        variables: What a user sets.
        mistakes: Of these variables, the wrong key.
    """

    hosts: tuple[str, ...]
    rules: tuple[object, ...]
    prefers: str
    source: str
    variables: dict[str, str]
    mistakes: dict[str, str]
    speaks: str = "json"

    def judge(self, request):
        """What is wrong: nothing, a refusal, or what is rejected and lost of a request that is taken."""
        found = []
        for rule in self.rules:
            verdict = rule.judge(request)
            if isinstance(verdict, Refused):
                return [verdict]
            if verdict:
                found.append(verdict)
        return found
