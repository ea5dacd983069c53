"""How a run, a model call or a tool call ended: the dictionaries of the closed vocabularies.

The vocabularies themselves stand in `catalog`. Rules for whoever adds a row here:

1. A class is named by its package and name, and never imported; submodules move, so they don't count.
2. A message is never read: its wording changes, and it holds what users wrote.
3. Nothing of an exception is run, since a property may be slow or raise: only its own state and plain class
   attributes are read. gRPC alone is called, as it keeps its status behind `code()`.
4. Evidence is asked in this order: the team's entries, provider codes, listed classes, the HTTP status, the
   names of unlisted classes. Codes go before classes, since clients choose the class by the HTTP status and
   one `BadRequestError` may be a full context window or a content filter. Listed classes go before the
   status, since wrappers make up statuses that no server sent.
5. An answer in `_GENERIC` gives way to a later one that says more, be it a base class's. So a class that only
   repeats its HTTP status needs no row, nor does a subclass of the same kind.
"""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from enum import Enum
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from agent_otel.catalog import ERROR_TYPES, OTHER, STOP_REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    _Onward = Callable[[BaseException], tuple[BaseException, ...]]


def _table(text: str) -> dict[str, str]:
    """Read `[package] meaning: word word; meaning: word` into `package.word` or `word` to meaning."""
    table, package, meaning = {}, "", ""
    for token in text.replace(";", " ").split():
        if token.startswith("["):
            package = f"{token[1:-1]}."
        elif token.endswith(":"):
            meaning = token[:-1]
        else:
            table[package + token] = meaning
    return table


_GENERIC: Final = frozenset({"invalid_request", "server_error"})

# Classes. `FileNotFoundError` is `not_found` as `PermissionError` is `permission_denied`: agents' tools read
# files, and what was named isn't there, be it behind a path or a URL. Python 3.10 has several TimeoutErrors.
# `google` is genai, adk, api_core and auth; `agents` is openai-agents.
_CLASSES: Final = _table("""
    [builtins] timeout: TimeoutError; connection: ConnectionError; permission_denied: PermissionError;
        not_found: FileNotFoundError
    [asyncio] timeout: TimeoutError; connection: IncompleteReadError
    [concurrent] timeout: TimeoutError
    [http] connection: BadStatusLine IncompleteRead
    [multiprocessing] timeout: TimeoutError
    [socket] connection: gaierror herror
    [ssl] connection: SSLError
    [subprocess] timeout: TimeoutExpired
    [aiohttp] timeout: ServerTimeoutError; connection: ClientConnectionError ClientPayloadError;
        invalid_request: InvalidURL NonHttpUrlClientError
    [anyio] connection: BrokenResourceError ClosedResourceError ConnectionFailed EndOfStream IncompleteRead;
        cancelled: FutureCancelled TaskCancelled
    [httpcore] timeout: TimeoutException; connection: NetworkError ProtocolError ProxyError
    [httpx] timeout: TimeoutException; connection: NetworkError ProtocolError ProxyError;
        invalid_request: InvalidURL UnsupportedProtocol
    [httpcore2] timeout: TimeoutException; connection: NetworkError ProtocolError ProxyError
    [httpx2] timeout: TimeoutException; connection: NetworkError ProtocolError ProxyError SSEError;
        invalid_request: InvalidURL UnsupportedProtocol
    [requests] timeout: ConnectTimeout Timeout; connection: ChunkedEncodingError ConnectionError;
        invalid_request: InvalidHeader InvalidSchema InvalidURL MissingSchema URLRequired;
        server_error: RetryError
    [trio] timeout: TooSlowError; connection: BrokenResourceError ClosedResourceError
    [urllib3] timeout: TimeoutError;
        connection: IncompleteRead NewConnectionError ProtocolError ProxyError SSLError
    [anthropic] timeout: APITimeoutError; connection: APIConnectionError;
        auth: CredentialsError WorkloadIdentityError
    [azure] timeout: ServiceRequestTimeoutError ServiceResponseTimeoutError;
        connection: IncompleteReadError ServiceRequestError ServiceResponseError;
        auth: ClientAuthenticationError
    [botocore] timeout: ConnectTimeoutError ReadTimeoutError;
        connection: ConnectionError HTTPClientError IncompleteReadError;
        auth: CredentialRetrievalError LoginError NoAuthTokenError NoCredentialsError
            PartialCredentialsError SSOError TokenRetrievalError;
        invalid_request: NoRegionError ParamValidationError ValidationError
    [google] timeout: NodeTimeoutError RetryError TimeoutError; connection: TransportError;
        auth: AuthCredentialMissingError CredentialExchangeError CredentialRefresherError GoogleAuthError;
        not_found: NotFoundError SessionNotFoundError; invalid_request: InputValidationError;
        max_steps: LlmCallsLimitExceededError; human_handoff: NodeInterruptedError
    [grpc] timeout: FutureTimeoutError; cancelled: FutureCancelledError
    [litellm] rate_limited: RouterRateLimitError RouterRateLimitErrorBasic;
        context_length: ContextWindowExceededError; content_filter: ContentPolicyViolationError;
        budget_exceeded: BudgetExceededError PaymentRequiredError;
        max_steps: AdvisorMaxIterationsError ToolLoopMaxRoundsExceeded;
        loop_detected: AgenticLoopSafetyError;
        guardrail: BlockedPiiEntityError GuardrailRaisedException RejectedRequestError
    [mcp] connection: StreamableHTTPError SubscriptionLost; auth: OAuthFlowError
    [mistralai] connection: NoResponseError StreamDisconnectedError; auth: MCPAuthException
    [openai] timeout: APITimeoutError; connection: APIConnectionError WebSocketConnectionClosedError;
        auth: SubjectTokenProviderError; content_filter: ContentFilterFinishReasonError;
        max_tokens: LengthFinishReasonError
    [a2a] timeout: A2AClientTimeoutError
    [agents] timeout: ExecTimeoutError ToolTimeoutError; cancelled: MCPToolCancellationError;
        max_steps: MaxTurnsExceeded; refused: ModelRefusalError;
        guardrail: InputGuardrailTripwireTriggered OutputGuardrailTripwireTriggered
            ToolInputGuardrailTripwireTriggered ToolOutputGuardrailTripwireTriggered
    [autogen_core] unknown_tool: ToolNotFoundException; invalid_request: InvalidToolArgumentsException
    [claude_agent_sdk] connection: CLIConnectionError
    [crewai] auth: MCPAuthenticationError; context_length: LLMContextLengthExceededError;
        max_steps: ToolUsageLimitExceededError; guardrail: HookAborted LLMCallBlockedError;
        human_handoff: HumanFeedbackPending
    [langchain] max_steps: ModelCallLimitExceededError ToolCallLimitExceededError;
        guardrail: PIIDetectionError
    [langchain_core] timeout: ModelTimeoutError; rate_limited: ModelRateLimitError;
        auth: ModelAuthenticationError; permission_denied: ModelPermissionDeniedError;
        not_found: ModelNotFoundError; invalid_request: ModelInvalidRequestError;
        context_length: ContextOverflowError; connection: ModelConnectionError; server_error: ModelAPIError;
        refused: ModelRefusalError
    [langgraph] timeout: NodeTimeoutError; max_steps: GraphRecursionError; human_handoff: GraphInterrupt;
        shutdown: GraphDrained
    [pydantic_ai] timeout: HookTimeoutError ModelRequestTimeout ModelTimeoutError RunTimedOut;
        rate_limited: ConcurrencyLimitExceeded ModelRateLimitError; auth: ModelAuthenticationError;
        not_found: ModelNotFoundError; invalid_request: ModelRequestRejectedError;
        context_length: ModelContextWindowExceededError; content_filter: ContentFilterError;
        connection: ModelConnectionError; server_error: ModelServerError; overloaded: ModelUnavailableError;
        cancelled: RunCancelled; max_tokens: IncompleteToolCall OutputTokenLimitExceeded;
        budget_exceeded: ModelQuotaExceededError UsageLimitExceeded;
        human_handoff: ApprovalRequired CallDeferred
    [smolagents] max_steps: AgentMaxStepsError
""")

# Provider codes, errno names and usual class names, in the form that `_key` gives, less the `_ENDING`; then
# codes that mean something else in one package: a gRPC client itself says UNAVAILABLE when it can't connect.
_CODES: Final = _table("""
    timeout: api_timeout deadline deadline_exceeded esockettimedout etimedout gateway_timeout model_timeout
        read_timeout request_timeout task_timeout vector_store_timeout
    rate_limited: limit_exceeded provisioned_throughput ramp_limit rate_limit request_limit
        resource_exhausted service_quota slow_down throttled throttling too_many_requests
    auth: authentication authentication_required credentials expired_token incorrect_api_key invalid_api_key
        invalid_authentication invalid_client invalid_client_token_id invalid_grant invalid_signature
        invalid_token missing_authentication_token no_credentials oauth_org_not_allowed
        signature_does_not_match token_expired unauthenticated unauthorized unrecognized_client
    permission_denied: access_denied authorization eacces eperm forbidden insufficient_permissions
        insufficient_scope model_permission_denied not_authorized permission
        unsupported_country_region_territory
    not_found: -32601 context_not_found deployment_not_found does_not_exist enoent file_not_found
        method_not_found model_not_found no_such_bucket no_such_key resource_not_found task_not_found
    invalid_request: -32600 -32602 -32700 already_exists bad_request conflict content_too_large
        failed_precondition invalid_argument invalid_parameter invalid_params invalid_value json_parse
        method_not_allowed missing_required_parameter out_of_range parameter_validation payload_too_large
        precondition request_too_large string_above_max_length unprocessable unprocessable_entity
        unsupported_parameter unsupported_value validation_exception
    context_length: context_overflow context_window context_window_overflow input_too_long
        llm_context_length model_context_window prompt_too_long token_limit tokens_limit
    content_filter: bio_policy content_filtered content_policy content_policy_violation cyber_policy
        data_inspection image_content_policy_violation invalid_prompt moderation_blocked
        responsible_ai_policy_violation
    connection: api_connection connection_aborted connection_closed connection_lost
        connection_refused connection_reset eai_again econnaborted econnrefused econnreset ehostdown
        ehostunreach enetdown enetunreach enotfound epipe network stream_disconnected
    server_error: -32603 bad_gateway data_loss dependency internal internal_failure internal_server
        invalid_agent_response model_error_exception model_stream_error_exception server unimplemented
    overloaded: capacity engine_overloaded insufficient_system_resource model_not_ready model_overloaded
        provider_overloaded provider_unavailable server_busy server_overloaded service_unavailable
        unavailable
    unknown_tool: skill_not_found tool_not_found
    budget_exceeded: billing contract_spend_limit credits_required enforced_spend_limit insufficient_quota
        linked_organization_billing_unavailable linked_organization_spend_limit payment_required
    [anthropic] server_error: api_error
    [grpc] connection: unavailable; server_error: aborted unknown; cancelled: cancelled
    [litellm] budget_exceeded: budget; max_steps: max_iterations
    [mcp] connection: -32000; timeout: -32001; not_found: -32002; human_handoff: -32042; cancelled: -32800
""")

# Words of providers and frameworks for why something stopped. Asking for a tool ends a model call well.
_STOP_WORDS: Final = _table("""
    completed: complete done end end_turn ended eos eos_token final_answer finish finished function_call
        function_calls no_tool_call reason_stop reason_tool_calls stop stop_criteria_met stop_sequence
        succeeded success task_state_completed tool_call tool_calls tool_rule tool_use
    max_steps: agent_max_steps agent_stopped_due_to_iteration_limit_or_time_limit
        agent_stopped_due_to_max_iterations error_max_turns graph_recursion graph_recursion_limit
        iteration_limit llm_calls_limit max_iteration max_iterations max_rounds max_turn_requests max_turns
        model_call_limit pause_turn recursion_limit step_limit too_many_tool_calls tool_call_limit
        tool_usage_limit turn_limit
    max_tokens: blocking_limit context_length context_window continuation error_limit incomplete_output
        length length_finish_reason max_completion_tokens max_length max_output_tokens max_prompt_tokens
        model_context_window model_length output_token_limit prompt_too_long reason_max_context
        reason_max_len token_limit
    timeout: deadline expired max_time reason_time_limit time_budget time_limit timed_out
    budget_exceeded: budget cost_limit error_max_budget_usd exit_cost max_budget max_budget_usd max_cost
        token_budget usage_limit
    loop_detected: agent_stuck_in_loop infinite_loop loop stuck
    content_filter: blocklist content_filtered content_policy content_policy_violation error_toxic
        escalation image_prohibited_content image_recitation image_safety jailbreak language
        prohibited_content pup_limited_disabled recitation safety sensitive spii
    refused: declined model_refusal refusal rejected response_rejected task_state_rejected
    guardrail: guardrail_intervened guardrail_tripwire hook_aborted hook_stopped input_guardrail_tripwire
        model_armor output_guardrail_tripwire stop_hook_prevented tool_input_guardrail_tripwire
        tool_output_guardrail_tripwire tripwire
    human_handoff: approval_required auth_required awaiting_user_confirmation awaiting_user_input
        call_deferred graph_interrupt human_feedback_pending input_required interrupt need_more_input
        node_interrupt requires_action requires_approval task_state_auth_required task_state_input_required
        tool_deferred
    tool_error: tool_execution tool_failure
    model_error: api_error error_max_structured_output_retries insufficient_system_resource
        invalid_llm_response invalid_tool_call llm_api_error malformed_function_call malformed_model_output
        malformed_response malformed_tool_use missing_thought_signature model_behavior network_error
        structured_output_retry unexpected_model_behavior unexpected_tool_call
    error: crashed error_during_execution failed failure image_error internal_error task_state_failed
    cancelled: abort aborted aborted_streaming aborted_tools cancel canceled cancelling client_cancelled
        interrupted keyboard_interrupt killed run_cancelled stopped_by_user task_state_canceled
        turn_detected user_cancel
    abandoned: client_disconnect client_disconnected generator_exit
    shutdown: drained graph_drained sigterm system_exit
""")

# The most telling first: a group of several kinds is the first of them.
_CANCELLATIONS: Final = _table("""
    [builtins] shutdown: SystemExit; cancelled: KeyboardInterrupt
    [asyncio] cancelled: CancelledError
    [concurrent] cancelled: CancelledError
    [trio] cancelled: Cancelled
    [builtins] abandoned: GeneratorExit
""")

# HTTP. RFC 9110 calls 503 "temporary overload or scheduled maintenance", and OpenAI, Gemini and Bedrock send
# it for the former: `overloaded`. 402 is money, as are codes for spent credit. 522 and 524 are Cloudflare's.
_STATUSES: Final = _table("""
    timeout: 408 504 522 524; rate_limited: 429; auth: 401 407; permission_denied: 403; not_found: 404 410;
    overloaded: 503 529; budget_exceeded: 402; cancelled: 499
""")
_STATUS_CLASSES: Final = {4: "invalid_request", 5: "server_error"}

# Where exceptions, their bodies and their responses keep a status or a code.
_NAMES: Final = (
    "status_code",
    "status",  # a number in aiohttp, a word in google-genai
    "HTTPStatusCode",  # botocore
    "api_error_status",  # claude-agent-sdk
    "rate_limit_type",  # litellm
    "code",
    "Code",  # botocore
    "error_code",  # anthropic
    "provider_error_code",  # pydantic-ai
    "type",
    "provider_error_type",  # pydantic-ai
    "error_type",  # google-adk
    "error",  # OAuth
    "subtype",  # claude-agent-sdk
    "terminal_reason",  # claude-agent-sdk
)
_INNER_NAMES: Final = ("reason", "error")  # where urllib, urllib3 and google-adk keep what they wrap

_MARK: Final = "_agent_otel_blame"
_MOST_LINKS: Final = 1_000  # of a chain or a group; a program with more has trouble enough
_MOST_CHARACTERS: Final = 100
_ENDING: Final = re.compile("_(error|exception|exceeded|exhausted|failed|reached|triggered)$")
_HUMPS: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_ENTRIES: Final[Mapping[str, str]] = MappingProxyType({})


class Outcomes:
    """The closed vocabularies of one team, and what maps into them. Nothing here ever raises.

    Args:
        stop_reasons: The team's own stop reasons, each with its status.
        error_types: The team's own dictionary: class path (`shop.errors.OutOfStock`), class name or
            provider code, to an error type. A type that isn't ours becomes part of the vocabulary.

    Attributes:
        statuses: Every stop reason, and the status that follows from it.
        error_types: Every value that `error.type` may have.
    """

    statuses: Mapping[str, str]
    error_types: tuple[str, ...]

    def __init__(
        self, stop_reasons: Mapping[str, str] = _NO_ENTRIES, error_types: Mapping[str, str] = _NO_ENTRIES
    ) -> None:
        self.statuses = MappingProxyType({**STOP_REASONS, **stop_reasons})
        self.error_types = tuple(dict.fromkeys((*ERROR_TYPES, *error_types.values())))
        self._reasons = _STOP_WORDS | {_key(reason): reason for reason in self.statuses}
        self._classes = dict(error_types)
        self._codes = {_key(code): kind for code, kind in error_types.items() if "." not in code}
        meant = {word: reason for word, reason in _STOP_WORDS.items() if reason in self.error_types}
        named = {_key(kind): kind for kind in self.error_types if kind != OTHER}
        self._words = meant | _CODES | named | self._codes

    def error_type(self, error: object) -> str:
        """Name the class of an error.

        Args:
            error: An exception, or the word given to `fail()`: one of `error_types`, or a provider's code.

        Returns:
            A member of `error_types`; `_OTHER` for what isn't known.
        """
        kind: str | None = None
        with suppress(Exception):
            kind = self._of_exception(error) if isinstance(error, BaseException) else self._of_word(error)
        return kind if kind in self.error_types else OTHER

    def stop_reason(self, word: object) -> str:
        """Translate why something stopped.

        Args:
            word: One of `statuses`, or a provider's or framework's word or enum member for it, in any case.

        Returns:
            A key of `statuses`; `_OTHER` for what isn't known.
        """
        with suppress(Exception):
            return _look_up(self._reasons, _key(word)) or OTHER
        return OTHER

    def of_run(self, stopped: str | None, error: object) -> tuple[str, str, str | None]:
        """Say how a run ended.

        A stop reason other than `completed` stands; else the error decides; else the run completed. Of an
        error it is asked whether it is a cancellation, then which block it left, then what it means.

        Args:
            stopped: The reason last given to `stop()`, as `stop_reason` returned it.
            error: The exception that left the run, or what was given to `fail()`; None if neither was.

        Returns:
            Status, stop reason, and error type: None without an error, and when a generator was merely left.
        """
        left = error is None or _safely(_cancellation, error) == "abandoned"
        kind = None if left else self.error_type(error)
        reason = self._reason_of(error, kind) if stopped in {None, "completed"} else stopped
        known = reason if reason in self.statuses else OTHER
        return self.statuses[known], known, kind

    def _reason_of(self, error: object, kind: str | None) -> str:
        if error is None:
            return "completed"
        if type(error) is str and self.statuses.get(error) == "error":
            return error
        reason = _safely(_cancellation, error) or _safely(_blamed, error) or kind
        return "error" if reason is None or reason == OTHER or reason not in self.statuses else reason

    def _of_word(self, word: object) -> str | None:
        path = word if isinstance(word, str) else ""
        return self._classes.get(path) or _look_up(self._words, _key(word)) or _status_type(word)

    def _of_exception(self, error: BaseException) -> str | None:
        cancelled = _cancellation(error)
        if cancelled:
            return "cancelled" if cancelled == "abandoned" else cancelled
        return _first(self._of_team(link) or _best(self._answers(link)) for link in _reach(error, _inside))

    def _of_team(self, error: BaseException) -> str | None:
        if not self._classes:
            return None
        paths = (path for cls in type(error).__mro__ for path in _paths(cls))
        codes = (_look_up(self._codes, _key(each)) for each in (*_evidence(error), *_names(type(error))))
        return _first((*map(self._classes.get, paths), *codes))

    def _answers(self, error: BaseException) -> Iterator[str | None]:
        packages = _packages(type(error))
        evidence = _evidence(error)
        for code in map(_key, evidence):
            special = (self._words.get(f"{package}.{code}") for package in packages)
            yield _first(special) or _look_up(self._words, code)
        yield from map(_CLASSES.get, _class_names(type(error)))
        yield from map(_status_type, evidence)
        yield from (_look_up(self._words, _key(name)) for name in _names(type(error)))


def blame(error: BaseException, reason: str) -> None:
    """Mark an exception as it leaves a tool or model block, so that the run around it knows what failed.

    The mark stands on the object: matching by `id()` blames the wrong exception as soon as an id is reused.
    Cancellations are never marked, or a run that times out while a tool is under way would be a tool error.

    Args:
        error: The exception, or a group of them; a later mark replaces an earlier one.
        reason: `tool_error` or `model_error`.

    Raises:
        Nothing.
    """
    with suppress(Exception):
        for each in _reach(error, _members):
            if _cancellation(each) is None:
                vars(each)[_MARK] = reason


def _blamed(error: object) -> str | None:
    links = _reach(error, lambda link: (*_members(link), *_cause(link)))
    return next((vars(link)[_MARK] for link in links if type(vars(link).get(_MARK)) is str), None)


def _cancellation(error: object) -> str | None:
    # In a TaskGroup one real error cancels its siblings, so a group is cancelled only if all of it is.
    leaves = [each for each in _reach(error, _members) if not _members(each)]
    reasons = {_first(map(_CANCELLATIONS.get, _class_names(type(leaf)))) for leaf in leaves}
    if not reasons or None in reasons:
        return None
    return next(reason for reason in _CANCELLATIONS.values() if reason in reasons)


def _reach(error: object, onward: _Onward) -> Iterator[BaseException]:
    """Yield an exception and all that `onward` leads to, each once, since chains of causes may be loops."""
    ahead = [error] if isinstance(error, BaseException) else []
    seen: set[int] = set()
    while ahead and len(seen) < _MOST_LINKS:
        link = ahead.pop()
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            ahead.extend(reversed(onward(link)))


def _members(error: BaseException) -> tuple[BaseException, ...]:
    # By name, so that the backport for Python 3.10 counts and needn't be imported.
    if not any(cls.__name__ == "BaseExceptionGroup" for cls in type(error).__mro__):
        return ()
    members = getattr(error, "exceptions", ())
    return members if type(members) is tuple else ()


def _cause(error: BaseException) -> tuple[BaseException, ...]:
    return () if error.__cause__ is None else (error.__cause__,)


def _inside(error: BaseException) -> tuple[BaseException, ...]:
    """Return what an exception that says nothing itself was made of: at most one, and no cancellation."""
    kept = (vars(error).get(name) for name in _INNER_NAMES)
    inner = _members(error) or (*_cause(error), *(each for each in kept if isinstance(each, BaseException)))
    return tuple(islice((each for each in inner if _cancellation(each) is None), 1))


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _packages(cls: type) -> set[str]:
    return {_package(each) for each in cls.__mro__}


def _class_names(cls: type) -> Iterator[str]:
    return (f"{_package(each)}.{each.__qualname__}" for each in cls.__mro__)


def _paths(cls: type) -> tuple[str, str, str]:
    return f"{cls.__module__}.{cls.__qualname__}", f"{_package(cls)}.{cls.__qualname__}", cls.__qualname__


def _names(cls: type) -> list[str]:
    return [each.__name__ for each in cls.__mro__ if each.__module__ != "builtins"]


def _evidence(error: BaseException) -> list[object]:
    """Return whatever may be a code or a status; what isn't one is sorted out by whoever looks it up."""
    own = vars(error)
    theirs = [vars(cls) for cls in type(error).__mro__ if cls.__module__ != "builtins"]
    found = [place[name] for place in _places(own) for name in _NAMES if name in place]
    found += [place[name] for place in theirs for name in _NAMES if name in place and name not in own]
    if isinstance(error, OSError):
        found.append(errno.errorcode.get(error.errno or 0))
    if "grpc" in _packages(type(error)):
        found.append(_grpc_code(error))
    return found


def _grpc_code(error: Any) -> object:
    # A call under way is an RpcError too, and its `code()` waits until it has ended.
    is_done, code = getattr(error, "done", None), getattr(error, "code", None)
    return code() if callable(code) and (is_done is None or is_done()) else None


def _places(own: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return what clients keep codes in: the exception itself, its `error`, body and response."""
    body, response = _state(own.get("body")), _state(own.get("response"))
    inner = (own.get("error"), body.get("error"), response.get("Error"), response.get("ResponseMetadata"))
    return [own, body, response, *map(_state, inner)]


def _state(thing: object) -> Mapping[str, object]:
    """Return a dict, or what an object holds itself: no property runs."""
    state = thing if type(thing) is dict else getattr(thing, "__dict__", None)
    return state if type(state) is dict else {}


def _first(answers: Iterable[str | None]) -> str | None:
    return next(filter(None, answers), None)


def _best(answers: Iterable[str | None]) -> str | None:
    generic = None
    for answer in filter(None, answers):
        if answer not in _GENERIC:
            return answer
        generic = generic or answer
    return generic


def _status_type(status: object) -> str | None:
    if isinstance(status, str):
        status = int(status) if status.isdecimal() and len(status) == len("404") else None
    if not isinstance(status, int):
        return None
    return _STATUSES.get(str(int(status))) or _STATUS_CLASSES.get(status // 100)


def _look_up(table: Mapping[str, str], key: str) -> str | None:
    while key not in table:
        shorter = _ENDING.sub("", key)
        if shorter == key:
            return None
        key = shorter
    return table[key]


def _key(word: object) -> str:
    """Return a word, enum member or class in one form: `MaxTurns`, `MAX-TURNS`, `End.max_turns` are one."""
    if isinstance(word, BaseException):
        word = type(word)
    if isinstance(word, type):
        word = word.__name__
    if isinstance(word, Enum):
        word = word.value if isinstance(word.value, str) else word.name
    if isinstance(word, int):
        return str(word)
    if not isinstance(word, str) or len(word) > _MOST_CHARACTERS:
        return ""
    tail = str.strip(word, " .").rpartition(".")[2]
    return re.sub("[^a-z0-9]+", "_", _HUMPS.sub("_", tail).lower()).strip("_")


def _safely(ask: Callable[[object], str | None], error: object) -> str | None:
    with suppress(Exception):
        return ask(error)
    return None
