"""What the Collector's configurations promise, as far as it can be seen without a Collector."""

import re
from itertools import product

import pytest
import yaml
from opentelemetry.sdk.metrics.export import HistogramDataPoint

from agent_otel import backends, catalog, settings
from agent_otel._buckets import _point
from tests.collector_configs import (
    COMMANDS,
    FILES,
    FOLDER,
    NOT_HERE,
    commands_of,
    components,
    head_of,
    load,
    text_of,
    variables_of,
)

README = (FOLDER / "README.md").read_text()
OF_BACKENDS = [file for file in FILES if file.startswith("backends/")]
# Sent by an exporter that isn't OTLP's.
OWN_EXPORTER = {"backends/prometheus.yaml", "backends/prometheus-remote-write.yaml"}
OVER_OTLP = [file for file in OF_BACKENDS if file not in OWN_EXPORTER]
# The SDK sends to Azure Monitor by Microsoft's exporter, the Collector by OTLP: there is nothing to compare.
AS_THE_SDK = [file for file in OVER_OTLP if file != "backends/azure-monitor.yaml"]
SIGNING_IN = [file for file in AS_THE_SDK if file not in NOT_HERE.values()]
# The largest point of ours: a run's duration, with every attribute at some 30 characters.
LARGEST_POINT = 800


def name_of(file):
    return file.removeprefix("backends/").removesuffix(".yaml")


def exporter_of(file):
    return load(file)["exporters"]["otlp_http/backend"]


# What a reader finds


@pytest.mark.parametrize("file", FILES)
def test_a_file_shows_a_command_that_runs_it(file):
    of_its_own = [command for command in commands_of(file) if file in command]

    assert of_its_own
    assert all(command[0] == "base.yaml" for command in commands_of(file))
    assert {part for command in commands_of(file) for part in command} <= {*FILES}


@pytest.mark.parametrize("file", FILES)
def test_a_file_says_which_collector_it_needs(file):
    assert re.search(r"^# Needs Collector 0\.1(59|6\d) or newer", head_of(file), re.MULTILINE)


@pytest.mark.parametrize("file", FILES)
def test_a_head_explains_every_variable_and_names_its_default(file):
    explained = {}
    must = None
    for line in head_of(file).splitlines():
        if heading := re.match(r"# (Must|Can) be set\b", line):
            must = heading[1] == "Must"
        elif must is not None and (told := re.match(r"#   ([A-Z_]+) {2,}.*?(?: {2,}(\S+))?$", line)):
            explained[told[1]] = None if must else told[2] or ""
    shared = {} if file == "base.yaml" else variables_of("base.yaml")

    assert explained.items() <= variables_of(file).items()
    assert variables_of(file).items() <= {**shared, **explained}.items()


def test_the_readme_names_every_file_and_nothing_else():
    assert set(re.findall(r"`([\w/.-]+\.yaml)`", README)) == {*FILES, "builder.yaml", "compose.yaml"}


def test_the_readmes_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]

    assert [] == [link for link in links if not (FOLDER / link).exists()]


def test_the_readme_explains_every_variable():
    everywhere = {name for file in FILES for name in variables_of(file)}

    assert everywhere <= set(re.findall(r"`([A-Z_]+)`", README))


# What is safe


@pytest.mark.parametrize("file", FILES)
def test_secrets_come_from_the_environment(file):
    secrets = [value for key, value in walk(load(file)) if key in {"password", "token", "username"}]
    with_a_default = r"\$\{env:(?!.*(KEY|TOKEN|ID))[A-Z_]+:-[^}]+\}"  # of what no one signs in with

    assert all(re.fullmatch(rf"\$\{{env:[A-Z_]+\}}|{with_a_default}", secret) for secret in secrets)


@pytest.mark.parametrize("file", FILES)
def test_nothing_listens_on_more_than_loopback_unless_told(file):
    config = load(file)
    listening = [
        config.get("receivers"),
        config.get("extensions"),
        config.get("exporters", {}).get("prometheus"),
    ]
    listening.append(config.get("service", {}).get("telemetry"))
    places = [value for part in listening for key, value in walk(part) if key in {"endpoint", "host"}]

    assert all(place.startswith("${env:OTELCOL_LISTEN:-127.0.0.1}") for place in places)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_variable_is_refused_by_its_name_when_it_is_empty_unless_that_is_its_default(command):
    wanted = {name: default for file in command for name, default in variables_of(file).items()}
    if "local.yaml" in command:
        wanted["OTELCOL_STORAGE_DIR"] = variables_of("base.yaml")["OTELCOL_STORAGE_DIR"]  # one is enough
    refused = {
        name.partition("/")[2]: value["token"]
        for file in command
        for name, value in load(file).get("extensions", {}).items()
        if name.startswith("bearertokenauth/")
    }

    assert refused == {
        name: f"${{env:{name}}}" if default is None else f"${{env:{name}:-{default}}}"
        for name, default in wanted.items()
        if default != ""
    }


def walk(node):
    """Every key with its value, at any depth."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield key, value
        yield from walk(value)


# What it is made of

MODULES = {
    "bearertokenauth": "bearertokenauthextension",
    "basicauth": "basicauthextension",
    "file_storage": "filestorage",
    "forward": "forwardconnector",
    "health_check": "healthcheckextension",
}
KINDS = {
    "receivers": "receiver",
    "processors": "processor",
    "connectors": "connector",
    "exporters": "exporter",
    "extensions": "extension",
}


def test_the_builders_manifest_has_exactly_the_parts_that_the_files_use():
    manifest = yaml.safe_load((FOLDER / "builder.yaml").read_text())
    used = {kind: set() for kind in KINDS}
    for file in FILES:
        for kind, types in components(load(file)).items():
            used[kind] |= types - NOT_HERE.keys()
    built = {
        kind: {part["gomod"].partition(" ")[0].rpartition("/")[2] for part in manifest[kind]}
        for kind in KINDS
    }

    assert built == {
        kind: {MODULES.get(part, part.replace("_", "") + KINDS[kind]) for part in parts}
        for kind, parts in used.items()
    }


def test_the_builders_manifest_has_one_version_of_everything():
    parts = re.findall(r"gomod: \S+ (\S+)", (FOLDER / "builder.yaml").read_text())
    version = yaml.safe_load((FOLDER / "builder.yaml").read_text())["dist"]["version"]

    assert {f"v{version}", "v1.67.0"} == set(parts)  # 1.67 is 0.161 of the stable modules


@pytest.mark.parametrize("extension", NOT_HERE)
def test_a_file_whose_extension_cant_be_had_says_so(extension):
    using = [file for file in FILES if extension in components(load(file))["extensions"]]

    assert using == [NOT_HERE[extension]]
    assert extension in head_of(using[0])
    assert extension in README


# What agrees with the package


@pytest.mark.parametrize("file", FILES)
def test_metrics_that_are_made_are_the_catalogs(file):
    metrics = {metric.name: metric for metric in catalog.METRICS}
    made = [
        made
        for name, config in load(file).get("connectors", {}).items()
        if name.startswith("signal_to_metrics")
        for made in config["spans"]
    ]

    assert all(one["unit"] == metrics[one["name"]].unit for one in made)
    for one in made:
        keys = {attribute["key"] for attribute in one["attributes"]}
        assert keys <= {attribute.key for attribute in metrics[one["name"]].attributes}


@pytest.mark.parametrize("file", [file for file in FILES if file != "from-traces.yaml"])
def test_names_of_ours_are_the_catalogs(file):
    known = {each.name for each in catalog.METRICS} | {each.key for each in catalog.ATTRIBUTES}

    assert set(re.findall(r"\b(?:agent_otel|gen_ai)\.[a-z_.]+\w", str(load(file)))) <= known


def test_every_backend_has_a_file_but_those_that_need_none():
    need_none = {"console", "collector"}  # gateway/agent.yaml hands on to a Collector

    assert {name_of(file) for file in OF_BACKENDS} - {"prometheus-remote-write"} == {
        *backends.NAMES
    } - need_none


@pytest.mark.parametrize("file", AS_THE_SDK)
def test_a_file_sends_where_the_backend_takes_metrics(file):
    backend = backends.named(name_of(file))
    exporter = exporter_of(file)
    url = exporter.get("metrics_endpoint") or exporter["endpoint"] + "/v1/metrics"

    assert filled(url, backend) == backends.filled(backend.endpoint, value_of(backend), None)


def value_of(backend):
    """A variable's value: what stands for its default, or its name."""
    known = {each.name: each for each in backend.variables}

    def value(name):
        default = known[name].default
        return known[name].choices.get(default, default) or name

    return value


def filled(url, backend):
    """The Collector's URL with the same values."""
    url = re.sub(r"\$\{env:\w+:-([^}]*)\}", r"\1", url)
    return re.sub(r"\$\{env:(\w+)\}", lambda found: value_of(backend)(found[1]), url)


@pytest.mark.parametrize("file", SIGNING_IN)
def test_a_file_signs_in_as_the_backend_wants_it(file):
    backend = backends.named(name_of(file))
    exporter, extensions = exporter_of(file), load(file).get("extensions", {})
    sent = {
        name.lower(): re.sub(r"\$\{env:\w+:-(.*)\}", r"\1", value)
        for name, value in exporter.get("headers", {}).items()
    }
    by = exporter.get("auth", {}).get("authenticator", "")
    if by == "basicauth":
        user, password = extensions[by]["client_auth"].values()
        sent["authorization"] = f"Basic {user[6:-1]}:{password[6:-1]}"
    elif by:
        scheme = extensions[by].get("scheme", "Bearer")
        sent[extensions[by].get("header", "Authorization").lower()] = (
            f"{scheme} {extensions[by]['token'][6:-1]}".strip()
        )

    assert sent == {
        name.lower(): backends.filled(value, value_of(backend), lambda one, two: f"{one}:{two}")
        for name, value in backend.sign_in[0].headers.items()
    }


@pytest.mark.parametrize("file", OF_BACKENDS)
def test_a_file_converts_where_the_backend_wants_delta(file):
    wanted = name_of(file).replace("prometheus-remote-write", "prometheus")
    pipelines = load(file).get("service", {}).get("pipelines", {})
    processors = pipelines.get("metrics", {}).get("processors", [])

    assert ("cumulative_to_delta" in processors) == (
        backends.named(wanted).temporality.best == backends.DELTA
    )


@pytest.mark.parametrize("file", OVER_OTLP)
def test_batches_stay_within_what_the_backend_takes(file):
    limits = backends.named(name_of(file)).limits
    shared = load("base.yaml")["exporters"]["otlp_http/backend"]["sending_queue"]["batch"]
    batch = shared | exporter_of(file).get("sending_queue", {}).get("batch", {})
    in_bytes = batch["sizer"] == "bytes"

    assert batch["min_size"] <= batch["max_size"]
    if limits.payload_bytes:
        assert batch["max_size"] * (1 if in_bytes else LARGEST_POINT) <= limits.payload_bytes
    if limits.points:
        assert not in_bytes
        assert batch["max_size"] <= limits.points


def test_the_collector_merges_the_same_buckets_for_splunk_as_the_sdk():
    bounds = list(catalog.RUN_DURATION.bounds)
    point = HistogramDataPoint({}, 0, 0, 0, 0.0, [0] * (len(bounds) + 1), bounds, 0.0, 0.0)
    merged = _point(point, backends.named("splunk").limits.buckets)
    (statements,) = load("backends/splunk.yaml")["processors"]["transform/buckets"]["metric_statements"]
    ours = f' where metric.name == "{catalog.RUN_DURATION.name}"'

    assert statements["statements"] == [
        *(
            f"merge_histogram_buckets({bound}){ours}"
            for bound in sorted({*bounds} - {*merged.explicit_bounds})
        ),
        f'merge_histogram_buckets({len(merged.bucket_counts)}, "limit_buckets")',
    ]


def test_the_same_attributes_of_the_resource_become_labels_on_every_way_to_prometheus():
    otlp = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())["otlp"]
    scraped = load("backends/prometheus.yaml")["exporters"]["prometheus"]
    written = load("backends/prometheus-remote-write.yaml")["exporters"]["prometheus_remote_write"]

    assert otlp["promote_resource_attributes"] == scraped["resource_constant_labels"]["included"]
    assert otlp["promote_resource_attributes"] == written["resource_constant_labels"]["included"]


# The guard

DELETED = re.compile(r'delete_matching_keys\(datapoint\.attributes, "(.*)"\)')
PATTERNS = [re.compile(pattern) for pattern in DELETED.findall(text_of("guard.yaml"))]


def guarded(key):
    return any(pattern.search(key) for pattern in PATTERNS)


def spellings(key):
    words = key.split("_")
    return {way(sign.join(words)) for sign, way in product("._-", (str, str.upper, str.title))}


@pytest.mark.parametrize("key", sorted(catalog.FORBIDDEN))
def test_the_guard_drops_a_forbidden_key_however_it_is_written(key):
    written = {prefix + spelling for prefix in ("", "gen_ai.") for spelling in spellings(key)}

    assert [] == [spelling for spelling in sorted(written) if not guarded(spelling)]


@pytest.mark.parametrize("ending", catalog.FORBIDDEN_ENDINGS)
def test_the_guard_drops_a_forbidden_ending_in_any_namespace(ending):
    written = {"app" + spelling for spelling in spellings(ending)}

    assert [] == [spelling for spelling in sorted(written) if not guarded(spelling)]


@pytest.mark.parametrize("key", sorted(key for key in catalog.FORBIDDEN if "_" in key))
def test_the_guard_drops_a_forbidden_key_without_a_sign_between_its_words(key):
    first, *rest = key.split("_")
    camel = first + "".join(map(str.title, rest))
    in_one = {f"app.{camel}", f"app.{camel[0].upper()}{camel[1:]}", camel, camel.lower()}

    assert [] == [spelling for spelling in sorted(in_one) if not guarded(spelling)]


def test_the_guard_drops_what_the_semantic_conventions_know_of_a_person():
    keys = ["enduser.pseudo.id", "enduser.id", "user.email", "email_address", "user.emailAddress"]
    keys += ["http.request.header.authorization", "http.request.header.cookie"]
    keys += ["http.response.header.set-cookie", "http.request.header.x-api-key"]

    assert keys == list(filter(guarded, keys))


def test_the_guard_leaves_words_alone_that_only_end_like_a_forbidden_key():
    keys = [
        "valid",
        "android",
        "grid",
        "paid",
        "os.android",
        "cell.grid",
        "card.valid",
        "rapid",
        "app.runid.kind",
    ]
    keys += ["prerunid", "subtaskid", "superuserid", "http.request.header.accept", "authorization", "context"]
    keys += ["user.kind", "message.kind", "session.state", "input_type", "db.username", "cookie.kind"]

    assert [] == list(filter(guarded, keys))


def test_the_guard_drops_nothing_that_the_sdk_would_keep():
    words = {word for key in catalog.FORBIDDEN for word in (key, *key.split("_"))} | {
        "id",
        "name",
        "tool",
        "type",
    }
    keys = {attribute.key for attribute in catalog.ATTRIBUTES} | words
    keys |= {sign.join(pair) for sign in "._-" for pair in product(words, repeat=2)}
    keys |= {f"{prefix}{word}" for prefix in ("app.", "x", "gen_ai.", "gen_ai_") for word in words}

    beyond = {key for key in keys if re.search("mail[._-]address$", key)}  # what the guard alone knows

    assert sorted(filter(guarded, keys - beyond)) == sorted(filter(settings.forbidden, keys - beyond))
