"""The ways of starting that need no code, or somebody else's: entry points, the wrapper, the configuration file."""

from __future__ import annotations

import pytest
from opentelemetry import metrics as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agent_otel import agent_metrics, auto
from tests import receivers as at

PROVIDER = {"OTEL_PYTHON_METER_PROVIDER": "agent_otel"}

# The program of these tests: three runs, and a counter of its own through the OTel API.
PROGRAM = """
from opentelemetry import metrics
metrics.get_meter("app").create_counter("app.calls").add(7, {"keep": "a", "drop": "b"})
work(runs=3)
"""


@pytest.fixture
def wrapper(require, tmp_path):
    """Runs a program under `opentelemetry-instrument`, without gRPC, beside an instrumentation that loads after ours."""
    require("opentelemetry.instrumentation.auto_instrumentation", "pip install opentelemetry-instrumentation")
    require("opentelemetry.distro", "pip install opentelemetry-distro")
    package = tmp_path / "zz_other-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: zz-other\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nother = zz_other:Instrumentor\n")
    (tmp_path / "zz_other.py").write_text(
        "class Instrumentor:\n    def instrument(self, **_):\n        print('the other one is loaded')\n"
    )
    (tmp_path / "grpc.py").write_text("raise ModuleNotFoundError('No module named grpc')\n")
    quiet = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "PYTHONPATH": tmp_path}

    def run(code, **settings):
        done = at.run(
            code, *at.WRAPPER, **quiet, **{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"} | settings
        )
        assert done.stdout == "the other one is loaded\n"
        return done

    return run


def seen(received):
    """What every way of starting must give: the runs, the program's own calls, and how many processes said so."""
    return (
        received.total("agent_otel.runs"),
        received.total("app.calls"),
        len(received.totals("agent_otel.runs")),
    )


@pytest.mark.parametrize("code", ["", "agent_otel.configure()", "agent_otel.configure(release='2')"])
def test_one_variable_gives_our_provider_without_code_and_configure_may_come_first(code):
    with at.otlp_http() as received:
        done = at.run(code + PROGRAM, **at.over_http(received), **PROVIDER)
    (resource,) = received.resources.values()
    labels = [dict(labels) for _, labels in received.points("gen_ai.invoke_agent.duration")]

    assert seen(received) == (3, 7, 1)
    assert resource["telemetry.distro.name"] == "agent_otel"
    assert [each.get("gen_ai.agent.version") for each in labels] == ["2" if "release" in code else None]
    assert done.stderr == ""


def test_configure_after_our_provider_was_made_by_the_variable_is_the_second():
    with at.otlp_http() as received:
        done = at.run(
            PROGRAM + "agent_otel.configure(); agent_otel.configure(release='2')",
            **at.over_http(received),
            **PROVIDER,
        )

    assert seen(received) == (3, 7, 1)
    assert done.stderr == (
        "agent_otel is configured already: the first configure() stands, this different one does not\n"
    )


def test_once_a_provider_is_configured_the_hook_gives_that_one():
    done = at.run("""
from agent_otel import auto
provider = agent_otel.configure(exporter="none")
print(auto.meter_provider() is provider)
""")

    assert done.stdout == "True\n"


def test_wrong_settings_are_logged_and_the_program_runs_on_without_metrics():
    done = at.run(PROGRAM + "print('ran')", **PROVIDER, OTEL_METRICS_EXPORTER="otpl", AGENT_OTEL_COST="maybe")

    assert done.stdout == "ran\n"
    assert done.stderr == (
        "agent_otel records nothing: 2 settings are wrong:\n"
        "  - AGENT_OTEL_COST='maybe': use 1 or 0\n"
        "  - OTEL_METRICS_EXPORTER: unknown exporter 'otpl': use otlp, prometheus, console or none\n"
    )


def test_a_disabled_sdk_builds_nothing_by_the_variable_either():
    done = at.run(
        PROGRAM
        + "import threading; print(threading.active_count(), type(metrics.get_meter_provider()).__name__)",
        **PROVIDER,
        OTEL_SDK_DISABLED="true",
    )

    assert (done.stdout, done.stderr) == ("1 NoOpMeterProvider\n", "")


def test_the_sdks_own_metrics_ask_for_the_provider_while_it_is_built():
    with at.otlp_http() as received:
        at.run(PROGRAM, **at.over_http(received), **PROVIDER, OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED="true")

    assert seen(received) == (3, 7, 1)


@pytest.mark.parametrize("variable", [{}, PROVIDER])
@pytest.mark.parametrize("code", ["", "agent_otel.configure()"])
def test_under_the_wrapper_its_provider_counts_everything_once(wrapper, variable, code):
    with at.otlp_http() as received:
        done = wrapper(code + PROGRAM, **at.over_http(received), **variable)

    assert seen(received) == (3, 7, 1)
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == (
        ["a MeterProvider is set already"] if code else []
    )


def test_under_the_wrapper_what_configure_sets_counts_if_it_comes_before_the_first_run(wrapper):
    with at.otlp_http() as received:
        wrapper("agent_otel.configure(release='2')" + PROGRAM, **at.over_http(received))
    labels = [dict(labels) for _, labels in received.points("gen_ai.invoke_agent.duration")]

    assert labels == [{"gen_ai.agent.name": "bot", "gen_ai.agent.version": "2"}]


def test_under_the_wrapper_declared_agents_are_there_from_the_start_and_later_settings_are_told_to_be_late(
    wrapper,
):
    with at.otlp_http() as received:
        done = wrapper("agent_otel.configure(release='2')", **at.over_http(received), AGENT_OTEL_AGENTS="a,b")
    agents = {dict(labels)["gen_ai.agent.name"] for _, labels in received.points("agent_otel.runs")}

    assert agents == {"a", "b"}
    assert done.stderr.splitlines()[1:] == [
        (
            "agent_otel records already, by the AGENT_OTEL_* variables: other settings of configure() come too late; set"
            " the variables"
        )
    ]


def test_under_the_wrapper_a_wrong_setting_of_ours_is_logged_and_left_at_its_default(wrapper):
    with at.otlp_http() as received:
        done = wrapper(PROGRAM, **at.over_http(received), AGENT_OTEL_COST="maybe")

    assert seen(received) == (3, 7, 1)
    assert done.stderr == "agent_otel leaves a setting at its default: AGENT_OTEL_COST='maybe': use 1 or 0\n"


def test_under_the_wrapper_shutdown_ends_the_runs_that_are_open(wrapper):
    with at.otlp_http() as received:
        wrapper(
            "agent_otel.run('bot').start(); agent_otel.shutdown(); agent_otel.configure()\n" + PROGRAM,
            **at.over_http(received),
        )
    ended = [
        dict(labels) for (_, labels), (_, point) in received.points("agent_otel.runs").items() if point.as_int
    ]

    assert [labels["agent_otel.run.stop_reason"] for labels in ended] == ["shutdown"]


@pytest.fixture
def fresh(monkeypatch):
    """The default `AgentMetrics`' place, taken by one that no other test knows."""
    fresh = agent_metrics.AgentMetrics()
    monkeypatch.setattr(agent_metrics, "default", fresh)
    return fresh


def test_an_instrumentor_takes_a_provider_and_takes_nothing_back(fresh):
    given = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    auto.Instrumentor().instrument(skip_dep_check=True)
    before = fresh.recorder.is_bound
    auto.Instrumentor().instrument(meter_provider=given)
    auto.Instrumentor().uninstrument()

    assert (before, fresh.recorder.is_bound) == (False, True)


def test_without_a_provider_the_hook_leaves_everything_as_it_is(fresh, monkeypatch):
    monkeypatch.setenv("AGENT_OTEL_AGENTS", "a")
    monkeypatch.setattr(api, "get_meter_provider", api.NoOpMeterProvider)
    auto.pre_instrument()

    assert fresh.recorder.is_bound is False


def test_a_hook_catches_everything(fresh, monkeypatch, caplog):
    def refuse():
        raise RuntimeError("no provider today")

    monkeypatch.setenv("AGENT_OTEL_AGENTS", "a")
    monkeypatch.setattr(api, "get_meter_provider", refuse)
    auto.pre_instrument()

    assert caplog.messages == ["agent_otel records nothing"]


RESOURCE = """
file_format: "1.0"
resource:
  attributes:
    - {name: service.name, value: from-file}
    - {name: service.version, value: "7.1"}
"""
READER = """
meter_provider:
  readers:
    - periodic:
        interval: 3600000
        exporter: EXPORTER
  views:
    - selector: {instrument_name: app.calls}
      stream: {attribute_keys: {included: [keep]}}
"""


@pytest.fixture
def configured_by(require, tmp_path):
    """Makes the variables that name a configuration file."""

    def write(text, **names):
        require("opentelemetry.configuration", "pip install --pre opentelemetry-configuration")
        path = tmp_path / "otel.yaml"
        for name, value in names.items():
            text = text.replace(name, str(value))
        path.write_text(text)
        return {"OTEL_CONFIG_FILE": path}

    return write


def over_http_by(configured_by, received):
    exporter = f"{{otlp_http: {{endpoint: 'http://127.0.0.1:{received.port}/v1/metrics'}}}}"
    return configured_by(RESOURCE + READER, EXPORTER=exporter)


@at.needs_files
@pytest.mark.parametrize(
    ("code", "variable"),
    [
        ("agent_otel.configure(); agent_otel.configure()", {}),
        ("", PROVIDER),
        ("agent_otel.configure()", PROVIDER),
    ],
)
def test_the_configuration_file_decides_on_readers_views_and_resource(configured_by, code, variable):
    with at.otlp_http() as received:
        done = at.run(code + PROGRAM, **over_http_by(configured_by, received), **variable)
    (labels,) = [dict(labels) for _, labels in received.points("gen_ai.invoke_agent.duration")]
    (kept,) = [dict(labels) for _, labels in received.points("app.calls")]

    assert seen(received) == (3, 7, 1)
    assert labels == {"gen_ai.agent.name": "bot", "gen_ai.agent.version": "7.1"}
    assert kept == {"keep": "a"}
    assert done.stderr == ""


@at.needs_files
@pytest.mark.parametrize("code", ["", "agent_otel.configure()"])
def test_the_configuration_file_and_the_wrapper_count_everything_once(configured_by, wrapper, code):
    with at.otlp_http() as received:
        wrapper(code + PROGRAM, **over_http_by(configured_by, received), **PROVIDER)

    assert seen(received) == (3, 7, 1)


@at.needs_files
def test_arguments_that_the_configuration_file_decides_are_told_to_change_nothing(configured_by):
    with at.otlp_http() as received:
        done = at.run(
            "agent_otel.configure(service_name='mine')" + PROGRAM, **over_http_by(configured_by, received)
        )
    (resource,) = received.resources.values()

    assert resource["service.name"] == "from-file"
    assert done.stderr == (
        "OTEL_CONFIG_FILE decides: service_name, readers and views of configure() change nothing\n"
    )


@at.needs_files
def test_a_page_of_the_configuration_file_is_served_and_flush_doubles_nothing(configured_by):
    port = at.free_port()
    page = f"""
meter_provider:
  readers:
    - pull: {{exporter: {{prometheus/development: {{host: 127.0.0.1, port: {port}}}}}}}
"""
    code = "agent_otel.configure()" + PROGRAM + "print(agent_otel.flush(), flush=True); input()"
    with at.started(code, **configured_by(RESOURCE + page)) as process:
        lines = at.scrape(port).splitlines()

    assert process.first_line == "False"
    assert [line.rpartition(" ")[2] for line in lines if line.startswith("app_calls_total{")] == ["7.0"]
    assert len(set(lines)) == len(lines)


@at.needs_files
def test_the_console_of_the_configuration_file_gets_what_is_measured(configured_by):
    done = at.run(
        "agent_otel.configure()" + PROGRAM, **configured_by(RESOURCE + READER, EXPORTER="{console: {}}")
    )

    assert '"agent_otel.runs"' in done.stdout


@at.needs_files
@pytest.mark.parametrize("variable", [{}, PROVIDER])
@pytest.mark.parametrize("text", [RESOURCE, RESOURCE + "disabled: true"])
def test_a_configuration_file_without_metrics_is_told_and_nothing_is_recorded(configured_by, variable, text):
    code = "agent_otel.configure(); agent_otel.configure()" if not variable else ""
    done = at.run(code + PROGRAM + "print('ran')", **configured_by(text), **variable)

    assert done.stdout == "ran\n"
    assert (
        done.stderr.splitlines()[-1]
        == "OTEL_CONFIG_FILE sets up no meter_provider: agent_otel records nothing"
    )


WRONG = RESOURCE + "meter_provider: {readers: [{weird: 1}]}"


@at.needs_files
def test_a_broken_configuration_file_is_named_with_what_is_wrong_in_it(configured_by):
    settings = configured_by(WRONG)
    code = (
        "try: agent_otel.configure()\nexcept agent_otel.ConfigurationError as error: print(*error.mistakes)"
    )
    done = at.run(code, **settings)
    by_hook = at.run(PROGRAM + "print('ran')", **settings, **PROVIDER)

    assert done.stdout.startswith(f"OTEL_CONFIG_FILE='{settings['OTEL_CONFIG_FILE']}': mend the file: ")
    assert "'weird' was unexpected" in done.stdout
    assert by_hook.stdout == "ran\n"
    assert by_hook.stderr.startswith("agent_otel records nothing: 1 setting is wrong:\n  - OTEL_CONFIG_FILE=")


def test_a_configuration_file_needs_the_package_that_reads_it():
    done = at.run(
        """
import sys
sys.modules["opentelemetry.configuration"] = None
try: agent_otel.configure()
except agent_otel.ConfigurationError as error: print(*error.mistakes)
""",
        OTEL_CONFIG_FILE="otel.yaml",
    )

    assert done.stdout == (
        "OTEL_CONFIG_FILE needs SDK 1.44 or newer and pip install --pre opentelemetry-configuration\n"
    )
