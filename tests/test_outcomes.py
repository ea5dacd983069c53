from __future__ import annotations

import asyncio
import concurrent.futures
import enum
import errno
import gc
import http.client
import json
import multiprocessing
import pickle
import socket
import ssl
import subprocess
import sys
import textwrap
import urllib.error
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_otel import catalog, outcomes
from agent_otel.outcomes import Outcomes, blame
from tests.optional import need

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

ours = Outcomes()


def reply(status: int, body: Any = None, library: str = "httpx") -> Any:
    httpx = need(library)
    return httpx.Response(status, json=body, request=httpx.Request("POST", "https://example.test"))


def made(path: str, *bases: type, **attributes: Any) -> BaseException:
    """Build an exception of a class that stands at `path`, for libraries too heavy to install for a test."""
    module, _, name = path.rpartition(".")
    namespace = {"__module__": module, "__qualname__": name}
    error: BaseException = type(name, bases or (Exception,), namespace)()
    vars(error).update(attributes)
    return error


def raised(call: Any, *arguments: Any) -> BaseException:
    try:
        call(*arguments)
    except BaseException as error:
        return error
    pytest.fail("nothing was raised")


# Standard library


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), "timeout"),
        (socket.timeout(), "timeout"),  # noqa: UP041 - by its old name on purpose
        (asyncio.TimeoutError(), "timeout"),  # another class on Python 3.10
        (concurrent.futures.TimeoutError(), "timeout"),  # another class on Python 3.10
        (multiprocessing.TimeoutError(), "timeout"),
        (subprocess.TimeoutExpired("ls", 1), "timeout"),
        (OSError(errno.ETIMEDOUT, "x"), "timeout"),
        (ConnectionError(), "connection"),
        (ConnectionResetError(), "connection"),
        (ConnectionRefusedError(), "connection"),
        (BrokenPipeError(), "connection"),
        (OSError(errno.EHOSTUNREACH, "no route to host"), "connection"),
        (OSError(errno.ENETUNREACH, "network is unreachable"), "connection"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "connection"),
        (ssl.SSLCertVerificationError(), "connection"),
        (http.client.RemoteDisconnected(), "connection"),
        (http.client.IncompleteRead(b""), "connection"),
        (asyncio.IncompleteReadError(b"", 1), "connection"),
        (urllib.error.URLError(ConnectionRefusedError()), "connection"),
        (urllib.error.URLError(TimeoutError()), "timeout"),
        (urllib.error.URLError("unknown url type"), "_OTHER"),
        (urllib.error.HTTPError("u", 404, "m", http.client.HTTPMessage(), None), "not_found"),
        (urllib.error.HTTPError("u", 429, "m", http.client.HTTPMessage(), None), "rate_limited"),
        (PermissionError(errno.EACCES, "x"), "permission_denied"),
        (FileNotFoundError(errno.ENOENT, "x"), "not_found"),
        (IsADirectoryError(errno.EISDIR, "x"), "_OTHER"),
        (OSError(errno.ENOSPC, "x"), "_OTHER"),
        (OSError("no number"), "_OTHER"),
        (InterruptedError(), "_OTHER"),
        (raised(json.loads, "{"), "_OTHER"),
        (ValueError("rate limit exceeded, HTTP 429, timeout"), "_OTHER"),
        (KeyError("timeout"), "_OTHER"),
        (RecursionError(), "_OTHER"),
        (MemoryError(), "_OTHER"),
        (asyncio.CancelledError(), "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (SystemExit(1), "shutdown"),
        (SystemExit(429), "shutdown"),
    ],
    ids=repr,
)
def test_an_error_of_the_standard_library_has_its_type(error, expected):
    assert expected == ours.error_type(error)


def test_a_message_decides_nothing():
    class Loud(Exception):
        def __str__(self):
            raise AssertionError("the message was read")

        __repr__ = __str__

    assert ours.error_type(Loud("timeout")) == "_OTHER"


# OpenAI and Anthropic: what their clients really raise for a reply

OPENAI_REPLIES = [
    (400, {"code": "context_length_exceeded", "type": "invalid_request_error"}, "context_length"),
    (400, {"code": "content_filter", "type": None}, "content_filter"),
    (400, {"code": "content_policy_violation", "type": "invalid_request_error"}, "content_filter"),
    (400, {"code": "invalid_prompt", "type": "invalid_request_error"}, "content_filter"),
    (400, {"code": None, "type": "invalid_request_error"}, "invalid_request"),
    (400, {"code": "string_above_max_length", "type": "invalid_request_error"}, "invalid_request"),
    (400, {"code": "model_not_found", "type": "invalid_request_error"}, "not_found"),
    (401, {"code": "invalid_api_key", "type": "invalid_request_error"}, "auth"),
    (401, {"code": None, "type": "invalid_request_error"}, "auth"),
    (403, {"code": "unsupported_country_region_territory", "type": "x"}, "permission_denied"),
    (404, {"code": "DeploymentNotFound"}, "not_found"),
    (408, None, "timeout"),
    (409, None, "invalid_request"),
    (413, None, "invalid_request"),
    (422, None, "invalid_request"),
    (429, {"code": "rate_limit_exceeded", "type": "tokens"}, "rate_limited"),
    (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, "budget_exceeded"),
    (429, None, "rate_limited"),
    (500, {"code": None, "type": "server_error"}, "server_error"),
    (502, None, "server_error"),
    (503, {"code": None, "type": "server_error"}, "overloaded"),
    (504, None, "timeout"),
]

ANTHROPIC_REPLIES = [
    (400, "invalid_request_error", None, "invalid_request"),
    (401, "authentication_error", None, "auth"),
    (402, "billing_error", None, "budget_exceeded"),
    (403, "permission_error", None, "permission_denied"),
    (404, "not_found_error", None, "not_found"),
    (408, "timeout_error", None, "timeout"),
    (413, "request_too_large", None, "invalid_request"),
    (429, "rate_limit_error", None, "rate_limited"),
    (429, "rate_limit_error", "enforced_spend_limit_reached", "budget_exceeded"),
    (429, "rate_limit_error", "ramp_limit_exceeded", "rate_limited"),
    (500, "api_error", None, "server_error"),
    (503, "api_error", None, "overloaded"),
    (504, "timeout_error", None, "timeout"),
    (529, "overloaded_error", None, "overloaded"),
    (200, "overloaded_error", None, "overloaded"),  # inside a stream that began well
    (200, "api_error", None, "server_error"),
    (400, None, None, "invalid_request"),
]


@pytest.mark.parametrize(("status", "error", "expected"), OPENAI_REPLIES)
def test_what_the_openai_client_raises_for_a_reply_has_its_type(status, error, expected):
    httpx, openai = need("httpx"), need("openai")
    answer = httpx.MockTransport(lambda _: httpx.Response(status, json={"error": error}))
    client = openai.OpenAI(api_key="k", http_client=httpx.Client(transport=answer), max_retries=0)
    found = ours.error_type(raised(lambda: client.responses.create(model="m", input="")))
    client.close()

    assert expected == found


@pytest.mark.parametrize(("status", "kind", "code", "expected"), ANTHROPIC_REPLIES)
def test_an_error_of_the_anthropic_client_has_its_type(status, kind, code, expected):
    anthropic = need("anthropic")
    body = {"type": "error", "error": {"type": kind, "message": "m", "details": {"error_code": code}}}
    client = anthropic.Anthropic(api_key="k")
    response = reply(status, body, library="httpx2")
    found = ours.error_type(client._make_status_error("m", body=body, response=response))
    client.close()

    assert expected == found


def test_a_body_says_what_an_older_client_does_not():
    error = made("anthropic.APIStatusError", status_code=400, body={"error": {"type": "overloaded_error"}})

    assert ours.error_type(error) == "overloaded"


# Libraries: (module, what it is, expected type, how to build it)

# fmt: off
LIBRARIES = [
    ("openai", "time-out", "timeout", lambda m: m.APITimeoutError(reply(408).request)),
    ("openai", "no connection", "connection", lambda m: m.APIConnectionError(request=reply(400).request)),
    ("openai", "error event in a stream", "rate_limited", lambda m: m.APIError("m", reply(200).request, body={"code": "rate_limit_exceeded"})),
    ("openai", "error event without code", "_OTHER", lambda m: m.APIError("m", reply(200).request, body=None)),
    ("openai", "reply of another shape", "_OTHER", lambda m: m.APIResponseValidationError(reply(200), None)),
    ("openai", "cut off", "max_tokens", lambda m: m.LengthFinishReasonError(completion=SimpleNamespace(usage=None))),
    ("openai", "filtered", "content_filter", lambda m: m.ContentFilterFinishReasonError()),
    ("openai", "OAuth", "auth", lambda m: m.OAuthError(response=reply(400), body={"error": "invalid_grant"})),
    ("openai", "base class", "_OTHER", lambda m: m.OpenAIError("rate limit")),
    ("anthropic", "time-out", "timeout", lambda m: m.APITimeoutError(reply(408, library="httpx2").request)),
    ("anthropic", "no connection", "connection", lambda m: m.APIConnectionError(request=reply(400, library="httpx2").request)),
    ("anthropic", "no credentials", "auth", lambda m: m.CredentialsError("m")),
    ("anthropic", "base class", "_OTHER", lambda m: m.AnthropicError("m")),
    ("google.genai.errors", "RESOURCE_EXHAUSTED", "rate_limited", lambda m: m.ClientError(429, {"error": {"status": "RESOURCE_EXHAUSTED"}})),
    ("google.genai.errors", "INVALID_ARGUMENT", "invalid_request", lambda m: m.ClientError(400, {"error": {"status": "INVALID_ARGUMENT"}})),
    ("google.genai.errors", "FAILED_PRECONDITION", "invalid_request", lambda m: m.ClientError(400, {"error": {"status": "FAILED_PRECONDITION"}})),
    ("google.genai.errors", "PERMISSION_DENIED", "permission_denied", lambda m: m.ClientError(403, {"error": {"status": "PERMISSION_DENIED"}})),
    ("google.genai.errors", "UNAUTHENTICATED", "auth", lambda m: m.ClientError(401, {"error": {"status": "UNAUTHENTICATED"}})),
    ("google.genai.errors", "NOT_FOUND", "not_found", lambda m: m.ClientError(404, {"error": {"status": "NOT_FOUND"}})),
    ("google.genai.errors", "CANCELLED", "cancelled", lambda m: m.ClientError(499, {"error": {"status": "CANCELLED"}})),
    ("google.genai.errors", "INTERNAL", "server_error", lambda m: m.ServerError(500, {"error": {"status": "INTERNAL"}})),
    ("google.genai.errors", "UNAVAILABLE", "overloaded", lambda m: m.ServerError(503, {"error": {"status": "UNAVAILABLE"}})),
    ("google.genai.errors", "DEADLINE_EXCEEDED", "timeout", lambda m: m.ServerError(504, {"error": {"status": "DEADLINE_EXCEEDED"}})),
    ("google.genai.errors", "no JSON", "rate_limited", lambda m: m.ClientError(429, {"message": "<html>", "status": "Too Many Requests"})),
    ("google.genai.errors", "unknown function", "_OTHER", lambda m: m.UnsupportedFunctionError("m")),
    ("google.auth.exceptions", "no credentials", "auth", lambda m: m.DefaultCredentialsError("m")),
    ("google.auth.exceptions", "not refreshed", "auth", lambda m: m.RefreshError("m")),
    ("google.auth.exceptions", "no connection", "connection", lambda m: m.TransportError("m")),
    ("google.auth.exceptions", "time-out", "timeout", lambda m: m.TimeoutError("m")),
    ("httpx", "connect time-out", "timeout", lambda m: m.ConnectTimeout("m")),
    ("httpx", "read time-out", "timeout", lambda m: m.ReadTimeout("m")),
    ("httpx", "write time-out", "timeout", lambda m: m.WriteTimeout("m")),
    ("httpx", "pool time-out", "timeout", lambda m: m.PoolTimeout("m")),
    ("httpx", "no connection", "connection", lambda m: m.ConnectError("m")),
    ("httpx", "read error", "connection", lambda m: m.ReadError("m")),
    ("httpx", "protocol", "connection", lambda m: m.RemoteProtocolError("m")),
    ("httpx", "proxy", "connection", lambda m: m.ProxyError("m")),
    ("httpx", "no such scheme", "invalid_request", lambda m: m.UnsupportedProtocol("m")),
    ("httpx", "wrong URL", "invalid_request", lambda m: m.InvalidURL("m")),
    ("httpx", "redirects", "_OTHER", lambda m: m.TooManyRedirects("m")),
    ("httpx", "418", "invalid_request", lambda m: raised(reply(418).raise_for_status)),
    ("httpx", "401", "auth", lambda m: raised(reply(401).raise_for_status)),
    ("httpx", "429", "rate_limited", lambda m: raised(reply(429).raise_for_status)),
    ("httpx", "500", "server_error", lambda m: raised(reply(500).raise_for_status)),
    ("httpx", "529", "overloaded", lambda m: raised(reply(529).raise_for_status)),
    ("httpx2", "connect time-out", "timeout", lambda m: m.ConnectTimeout("m")),
    ("httpx2", "no connection", "connection", lambda m: m.ConnectError("m")),
    ("httpx2", "server-sent events", "connection", lambda m: m.SSEError("m")),
    ("httpx2", "no such scheme", "invalid_request", lambda m: m.UnsupportedProtocol("m")),
    ("httpx2", "403", "permission_denied", lambda m: raised(reply(403, library="httpx2").raise_for_status)),
    ("httpcore", "connect time-out", "timeout", lambda m: m.ConnectTimeout("m")),
    ("httpcore", "no connection", "connection", lambda m: m.ConnectError("m")),
    ("httpcore2", "protocol", "connection", lambda m: m.RemoteProtocolError("m")),
    ("requests", "connect time-out", "timeout", lambda m: m.ConnectTimeout()),
    ("requests", "read time-out", "timeout", lambda m: m.ReadTimeout()),
    ("requests", "no connection", "connection", lambda m: m.ConnectionError()),
    ("requests", "proxy", "connection", lambda m: m.exceptions.ProxyError()),
    ("requests", "TLS", "connection", lambda m: m.exceptions.SSLError()),
    ("requests", "cut off", "connection", lambda m: m.exceptions.ChunkedEncodingError()),
    ("requests", "wrong URL", "invalid_request", lambda m: m.exceptions.MissingSchema()),
    ("requests", "retries spent", "server_error", lambda m: m.exceptions.RetryError()),
    ("requests", "no JSON", "_OTHER", lambda m: m.JSONDecodeError("m", "", 0)),
    ("requests", "404", "not_found", lambda m: m.HTTPError(response=requests_reply(m, 404))),
    ("requests", "503", "overloaded", lambda m: m.HTTPError(response=requests_reply(m, 503))),
    ("requests", "no reply", "_OTHER", lambda m: m.HTTPError()),
    ("urllib3.exceptions", "read time-out", "timeout", lambda m: m.ReadTimeoutError(None, "u", "m")),
    ("urllib3.exceptions", "name", "connection", lambda m: m.NameResolutionError("h", None, socket.gaierror())),
    ("urllib3.exceptions", "retries spent on time-outs", "timeout", lambda m: m.MaxRetryError(None, "u", m.ReadTimeoutError(None, "u", "m"))),
    ("aiohttp", "time-out", "timeout", lambda m: m.ServerTimeoutError()),
    ("aiohttp", "connect time-out", "timeout", lambda m: m.ConnectionTimeoutError()),
    ("aiohttp", "read time-out", "timeout", lambda m: m.SocketTimeoutError()),
    ("aiohttp", "disconnected", "connection", lambda m: m.ServerDisconnectedError()),
    ("aiohttp", "no connection", "connection", lambda m: m.ClientConnectorError(None, OSError())),
    ("aiohttp", "TLS", "connection", lambda m: m.ClientConnectorSSLError(None, ssl.SSLError())),
    ("aiohttp", "cut off", "connection", lambda m: m.ClientPayloadError()),
    ("aiohttp", "wrong URL", "invalid_request", lambda m: m.InvalidURL("u")),
    ("aiohttp", "401", "auth", lambda m: m.ClientResponseError(None, (), status=401)),
    ("aiohttp", "429", "rate_limited", lambda m: m.ClientResponseError(None, (), status=429)),
    ("aiohttp", "WebSocket 403", "permission_denied", lambda m: m.WSServerHandshakeError(None, (), status=403)),
    ("aiohttp", "base class", "_OTHER", lambda m: m.ClientError()),
    ("aiohttp.web", "a server's 404", "not_found", lambda m: m.HTTPNotFound()),
    ("botocore.exceptions", "ThrottlingException", "rate_limited", lambda m: botocore_error(m, "ThrottlingException", 400)),
    ("botocore.exceptions", "TooManyRequestsException", "rate_limited", lambda m: botocore_error(m, "TooManyRequestsException", 429)),
    ("botocore.exceptions", "ServiceQuotaExceededException", "rate_limited", lambda m: botocore_error(m, "ServiceQuotaExceededException", 400)),
    ("botocore.exceptions", "AccessDeniedException", "permission_denied", lambda m: botocore_error(m, "AccessDeniedException", 403)),
    ("botocore.exceptions", "AccessDenied", "permission_denied", lambda m: botocore_error(m, "AccessDenied", 403)),
    ("botocore.exceptions", "ExpiredTokenException", "auth", lambda m: botocore_error(m, "ExpiredTokenException", 403)),
    ("botocore.exceptions", "UnrecognizedClientException", "auth", lambda m: botocore_error(m, "UnrecognizedClientException", 403)),
    ("botocore.exceptions", "InvalidClientTokenId", "auth", lambda m: botocore_error(m, "InvalidClientTokenId", 403)),
    ("botocore.exceptions", "SignatureDoesNotMatch", "auth", lambda m: botocore_error(m, "SignatureDoesNotMatch", 403)),
    ("botocore.exceptions", "ValidationException", "invalid_request", lambda m: botocore_error(m, "ValidationException", 400)),
    ("botocore.exceptions", "ConflictException", "invalid_request", lambda m: botocore_error(m, "ConflictException", 400)),
    ("botocore.exceptions", "ResourceNotFoundException", "not_found", lambda m: botocore_error(m, "ResourceNotFoundException", 404)),
    ("botocore.exceptions", "NoSuchKey", "not_found", lambda m: botocore_error(m, "NoSuchKey", 404)),
    ("botocore.exceptions", "ModelTimeoutException", "timeout", lambda m: botocore_error(m, "ModelTimeoutException", 408)),
    ("botocore.exceptions", "ModelErrorException", "server_error", lambda m: botocore_error(m, "ModelErrorException", 424)),
    ("botocore.exceptions", "ModelStreamErrorException", "server_error", lambda m: botocore_error(m, "ModelStreamErrorException", 424)),
    ("botocore.exceptions", "ModelNotReadyException", "overloaded", lambda m: botocore_error(m, "ModelNotReadyException", 429)),
    ("botocore.exceptions", "InternalServerException", "server_error", lambda m: botocore_error(m, "InternalServerException", 500)),
    ("botocore.exceptions", "ServiceUnavailableException", "overloaded", lambda m: botocore_error(m, "ServiceUnavailableException", 503)),
    ("botocore.exceptions", "a code of tomorrow", "not_found", lambda m: botocore_error(m, "BrandNewException", 404)),
    ("botocore.exceptions", "in a stream", "rate_limited", lambda m: m.EventStreamError({"Error": {"Code": "throttlingException"}}, "ConverseStream")),
    ("botocore.exceptions", "connect time-out", "timeout", lambda m: m.ConnectTimeoutError(endpoint_url="u")),
    ("botocore.exceptions", "read time-out", "timeout", lambda m: m.ReadTimeoutError(endpoint_url="u")),
    ("botocore.exceptions", "no connection", "connection", lambda m: m.EndpointConnectionError(endpoint_url="u")),
    ("botocore.exceptions", "closed", "connection", lambda m: m.ConnectionClosedError(endpoint_url="u")),
    ("botocore.exceptions", "TLS", "connection", lambda m: m.SSLError(endpoint_url="u", error="e")),
    ("botocore.exceptions", "no credentials", "auth", lambda m: m.NoCredentialsError()),
    ("botocore.exceptions", "SSO", "auth", lambda m: m.UnauthorizedSSOTokenError()),
    ("botocore.exceptions", "parameters", "invalid_request", lambda m: m.ParamValidationError(report="r")),
    ("grpc", "CANCELLED", "cancelled", lambda m: grpc_error(m, "CANCELLED")),
    ("grpc", "UNKNOWN", "server_error", lambda m: grpc_error(m, "UNKNOWN")),
    ("grpc", "INVALID_ARGUMENT", "invalid_request", lambda m: grpc_error(m, "INVALID_ARGUMENT")),
    ("grpc", "DEADLINE_EXCEEDED", "timeout", lambda m: grpc_error(m, "DEADLINE_EXCEEDED")),
    ("grpc", "NOT_FOUND", "not_found", lambda m: grpc_error(m, "NOT_FOUND")),
    ("grpc", "ALREADY_EXISTS", "invalid_request", lambda m: grpc_error(m, "ALREADY_EXISTS")),
    ("grpc", "PERMISSION_DENIED", "permission_denied", lambda m: grpc_error(m, "PERMISSION_DENIED")),
    ("grpc", "UNAUTHENTICATED", "auth", lambda m: grpc_error(m, "UNAUTHENTICATED")),
    ("grpc", "RESOURCE_EXHAUSTED", "rate_limited", lambda m: grpc_error(m, "RESOURCE_EXHAUSTED")),
    ("grpc", "FAILED_PRECONDITION", "invalid_request", lambda m: grpc_error(m, "FAILED_PRECONDITION")),
    ("grpc", "ABORTED", "server_error", lambda m: grpc_error(m, "ABORTED")),
    ("grpc", "OUT_OF_RANGE", "invalid_request", lambda m: grpc_error(m, "OUT_OF_RANGE")),
    ("grpc", "UNIMPLEMENTED", "server_error", lambda m: grpc_error(m, "UNIMPLEMENTED")),
    ("grpc", "INTERNAL", "server_error", lambda m: grpc_error(m, "INTERNAL")),
    ("grpc", "UNAVAILABLE", "connection", lambda m: grpc_error(m, "UNAVAILABLE")),
    ("grpc", "DATA_LOSS", "server_error", lambda m: grpc_error(m, "DATA_LOSS")),
    ("grpc", "future time-out", "timeout", lambda m: m.FutureTimeoutError()),
    ("grpc", "future cancelled", "cancelled", lambda m: m.FutureCancelledError()),
    ("grpc", "without a code", "_OTHER", lambda m: m.RpcError()),
    ("grpc.aio", "RESOURCE_EXHAUSTED", "rate_limited", lambda m: m.AioRpcError(need("grpc").StatusCode.RESOURCE_EXHAUSTED, m.Metadata(), m.Metadata())),
    ("mcp.shared.exceptions", "parse error", "invalid_request", lambda m: m.MCPError(-32700, "m")),
    ("mcp.shared.exceptions", "invalid request", "invalid_request", lambda m: m.MCPError(-32600, "m")),
    ("mcp.shared.exceptions", "method not found", "not_found", lambda m: m.MCPError(-32601, "m")),
    ("mcp.shared.exceptions", "invalid params", "invalid_request", lambda m: m.MCPError(-32602, "m")),
    ("mcp.shared.exceptions", "internal error", "server_error", lambda m: m.MCPError(-32603, "m")),
    ("mcp.shared.exceptions", "connection closed", "connection", lambda m: m.MCPError(-32000, "m")),
    ("mcp.shared.exceptions", "request time-out", "timeout", lambda m: m.MCPError(-32001, "m")),
    ("mcp.shared.exceptions", "request time-out of SDK 1", "timeout", lambda m: m.MCPError(408, "m")),
    ("mcp.shared.exceptions", "resource not found", "not_found", lambda m: m.MCPError(-32002, "m")),
    ("mcp.shared.exceptions", "elicitation", "human_handoff", lambda m: m.UrlElicitationRequiredError([])),
    ("mcp.shared.exceptions", "a server's own code", "_OTHER", lambda m: m.MCPError(-32099, "m")),
    ("mcp.client.auth", "OAuth", "auth", lambda m: m.OAuthTokenError("m")),
    ("trio", "time-out", "timeout", lambda m: m.TooSlowError()),
    ("trio", "closed", "connection", lambda m: m.ClosedResourceError()),
    ("anyio", "closed", "connection", lambda m: m.ClosedResourceError()),
    ("anyio", "no connection", "connection", lambda m: m.ConnectionFailed()),
    ("litellm.exceptions", "time-out", "timeout", lambda m: m.Timeout("m", "model", "p")),
    ("litellm.exceptions", "no connection", "connection", lambda m: m.APIConnectionError("m", "p", "model")),
    ("litellm.exceptions", "429", "rate_limited", lambda m: m.RateLimitError("m", "p", "model")),
    ("litellm.exceptions", "own budget", "budget_exceeded", lambda m: m.RateLimitError("m", "p", "model", rate_limit_type="budget")),
    ("litellm.exceptions", "own iterations", "max_steps", lambda m: m.RateLimitError("m", "p", "model", rate_limit_type="max_iterations")),
    ("litellm.exceptions", "401", "auth", lambda m: m.AuthenticationError("m", "p", "model")),
    ("litellm.exceptions", "404", "not_found", lambda m: m.NotFoundError("m", "model", "p")),
    ("litellm.exceptions", "400", "invalid_request", lambda m: m.BadRequestError("m", "model", "p")),
    ("litellm.exceptions", "context window", "context_length", lambda m: m.ContextWindowExceededError("m", "model", "p")),
    ("litellm.exceptions", "content policy", "content_filter", lambda m: m.ContentPolicyViolationError("m", "model", "p")),
    ("litellm.exceptions", "500", "server_error", lambda m: m.InternalServerError("m", "p", "model")),
    ("litellm.exceptions", "502", "server_error", lambda m: m.BadGatewayError("m", "p", "model")),
    ("litellm.exceptions", "503", "overloaded", lambda m: m.ServiceUnavailableError("m", "p", "model")),
    ("litellm.exceptions", "budget", "budget_exceeded", lambda m: m.BudgetExceededError(2.0, 1.0)),
    ("litellm.exceptions", "guardrail", "guardrail", lambda m: m.GuardrailRaisedException("g")),
    ("mistralai.client.errors", "429", "rate_limited", lambda m: m.SDKError("m", reply(429, library="httpx2"))),
    ("mistralai.client.errors", "401", "auth", lambda m: m.SDKError("m", reply(401, library="httpx2"))),
    ("mistralai.client.errors", "no reply", "connection", lambda m: m.NoResponseError()),
    ("cohere", "400", "invalid_request", lambda m: m.BadRequestError(body={"message": "m"})),
    ("cohere", "401", "auth", lambda m: m.UnauthorizedError(body=None)),
    ("cohere", "429", "rate_limited", lambda m: m.TooManyRequestsError(body=None)),
    ("cohere", "498", "auth", lambda m: m.InvalidTokenError(body=None)),
    ("cohere", "499", "cancelled", lambda m: m.ClientClosedRequestError(body=None)),
    ("cohere", "503", "overloaded", lambda m: m.ServiceUnavailableError(body=None)),
    ("cohere", "504", "timeout", lambda m: m.GatewayTimeoutError(body=None)),
    ("pydantic_ai.exceptions", "usage limit", "budget_exceeded", lambda m: m.UsageLimitExceeded("m")),
    ("pydantic_ai.exceptions", "429", "rate_limited", lambda m: m.ModelHTTPError(429, "model")),
    ("pydantic_ai.exceptions", "400 with a code", "context_length", lambda m: m.ModelHTTPError(400, "model", {"code": "context_length_exceeded"})),
    ("pydantic_ai.exceptions", "400 with Anthropic's code", "overloaded", lambda m: m.ModelHTTPError(400, "model", {"error": {"type": "overloaded_error"}})),
    ("pydantic_ai.exceptions", "content filter", "content_filter", lambda m: m.ContentFilterError("m")),
    ("pydantic_ai.exceptions", "cut off", "max_tokens", lambda m: m.IncompleteToolCall("m")),
    ("pydantic_ai.exceptions", "approval", "human_handoff", lambda m: m.ApprovalRequired()),
    ("pydantic_ai.exceptions", "deferred", "human_handoff", lambda m: m.CallDeferred()),
    ("pydantic_ai.exceptions", "queue is full", "rate_limited", lambda m: m.ConcurrencyLimitExceeded("m")),
    ("pydantic_ai.exceptions", "unexpected behaviour", "_OTHER", lambda m: m.UnexpectedModelBehavior("m")),
    ("pydantic_ai.exceptions", "every model failed", "rate_limited", lambda m: m.FallbackExceptionGroup("m", [m.ModelHTTPError(429, "model"), m.ModelHTTPError(500, "model")])),
    ("agents", "max turns", "max_steps", lambda m: m.MaxTurnsExceeded("m")),
    ("agents", "input guardrail", "guardrail", lambda m: m.InputGuardrailTripwireTriggered(SimpleNamespace(guardrail=None))),
    ("agents", "output guardrail", "guardrail", lambda m: m.OutputGuardrailTripwireTriggered(SimpleNamespace(guardrail=None))),
    ("agents", "tool input guardrail", "guardrail", lambda m: m.ToolInputGuardrailTripwireTriggered(None, None)),
    ("agents", "tool output guardrail", "guardrail", lambda m: m.ToolOutputGuardrailTripwireTriggered(None, None)),
    ("agents.exceptions", "refusal", "refused", lambda m: m.ModelRefusalError("m")),
    ("agents", "tool time-out", "timeout", lambda m: m.ToolTimeoutError("t", 1.0)),
    ("agents", "unexpected behaviour", "_OTHER", lambda m: m.ModelBehaviorError("m")),
    ("langgraph.errors", "recursion limit", "max_steps", lambda m: m.GraphRecursionError("m")),
    ("langgraph.errors", "interrupt", "human_handoff", lambda m: m.GraphInterrupt()),
    ("langchain_core.exceptions", "context", "context_length", lambda m: m.ContextOverflowError("m")),
    ("langchain_core.exceptions", "parser", "_OTHER", lambda m: m.OutputParserException("m")),
]
# fmt: on


def requests_reply(requests: Any, status: int) -> Any:
    response = requests.Response()
    response.status_code = status
    return response


def botocore_error(exceptions: Any, code: str, status: int) -> BaseException:
    return exceptions.ClientError(
        {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Converse"
    )


def grpc_error(grpc: Any, name: str) -> BaseException:
    from grpc._channel import _InactiveRpcError, _RPCState  # what a blocking call raises

    return _InactiveRpcError(_RPCState((), (), (), grpc.StatusCode[name], "details"))


@pytest.mark.parametrize(
    ("module", "expected", "build"),
    [
        pytest.param(module, expected, build, id=f"{module}: {what}")
        for module, what, expected, build in LIBRARIES
    ],
)
def test_an_exception_of_a_library_has_its_type(module, expected, build):
    assert expected == ours.error_type(build(need(module)))


NEWER = [  # what the release locked for Python 3.10 may lack
    ("pydantic_ai.exceptions", "ModelRateLimitError", ("model", "m"), "rate_limited"),
    ("pydantic_ai.exceptions", "ModelQuotaExceededError", ("model", "m"), "budget_exceeded"),
    ("pydantic_ai.exceptions", "ModelOverloadedError", ("model", "m"), "overloaded"),
    ("pydantic_ai.exceptions", "ModelServerError", ("model", "m"), "server_error"),
    ("pydantic_ai.exceptions", "ModelConnectionError", ("model", "m"), "connection"),
    ("pydantic_ai.exceptions", "ModelTimeoutError", ("model", "m"), "timeout"),
    ("pydantic_ai.exceptions", "ModelRequestTimeout", ("model", 1.0), "timeout"),
    ("pydantic_ai.exceptions", "ModelContextWindowExceededError", ("model", "m"), "context_length"),
    ("pydantic_ai.exceptions", "ModelAuthenticationError", ("model", "m"), "auth"),
    ("pydantic_ai.exceptions", "ModelNotFoundError", ("model", "m"), "not_found"),
    ("pydantic_ai.exceptions", "ModelRequestRejectedError", ("model", "m"), "invalid_request"),
    ("pydantic_ai.exceptions", "RunCancelled", ("m",), "cancelled"),
    ("pydantic_ai.exceptions", "RunTimedOut", ("m",), "timeout"),
    ("langgraph.errors", "GraphDrained", (), "shutdown"),
    ("langchain_core.exceptions", "ModelRateLimitError", (), "rate_limited"),
    ("langchain_core.exceptions", "ModelPermissionDeniedError", (), "permission_denied"),
    ("langchain_core.exceptions", "ModelTimeoutError", (), "timeout"),
]


@pytest.mark.parametrize(("module", "name", "arguments", "expected"), NEWER)
def test_an_exception_of_a_newer_release_has_its_type(module, name, arguments, expected):
    cls = getattr(need(module), name, None)
    error = made(f"{module}.{name}") if cls is None else cls(*arguments)

    assert expected == ours.error_type(error)


# Paths as they were in google-adk 2.13.0, crewai 1.15.28, autogen-core 0.7.5, claude-agent-sdk 0.2.187, a2a-sdk 1.3.0,
# azure-core 1.41.0, google-api-core 2.33.0, langchain 1.4.7 and smolagents (which is from its documentation).
HEAVY = [
    ("google.adk.agents.invocation_context.LlmCallsLimitExceededError", {}, "max_steps"),
    ("google.adk.errors.session_not_found_error.SessionNotFoundError", {}, "not_found"),
    ("google.adk.workflow._errors.NodeTimeoutError", {}, "timeout"),
    ("google.adk.workflow._errors.NodeInterruptedError", {}, "human_handoff"),
    (
        "google.adk.errors.tool_execution_error.ToolExecutionError",
        {"error_type": "REQUEST_TIMEOUT"},
        "timeout",
    ),
    ("google.adk.errors.tool_execution_error.ToolExecutionError", {"error_type": "503"}, "overloaded"),
    ("google.adk.workflow._errors.DynamicNodeFailError", {"error": TimeoutError()}, "timeout"),
    ("google.api_core.exceptions.TooManyRequests", {"code": HTTPStatus.TOO_MANY_REQUESTS}, "rate_limited"),
    ("google.api_core.exceptions.RetryError", {}, "timeout"),
    ("crewai.utilities.exceptions.x.LLMContextLengthExceededError", {}, "context_length"),
    ("crewai.tools.structured_tool.ToolUsageLimitExceededError", {}, "max_steps"),
    ("crewai.hooks.dispatch.HookAborted", {"reason": "not allowed"}, "guardrail"),
    ("crewai.flow.async_feedback.types.HumanFeedbackPending", {}, "human_handoff"),
    ("crewai.a2a.errors.A2AError", {"code": -32601}, "not_found"),
    ("crewai.a2a.errors.A2AError", {"code": -32001}, "_OTHER"),  # not MCP's time-out
    ("crewai.a2a.errors.TaskNotFoundError", {"code": -32001}, "not_found"),
    ("crewai.a2a.errors.RateLimitExceededError", {}, "rate_limited"),
    ("autogen_core.tool_agent._tool_agent.ToolNotFoundException", {}, "unknown_tool"),
    ("autogen_core.tool_agent._tool_agent.InvalidToolArgumentsException", {}, "invalid_request"),
    ("autogen_core.tool_agent._tool_agent.ToolExecutionException", {}, "_OTHER"),
    ("claude_agent_sdk._errors.CLIConnectionError", {}, "connection"),
    ("claude_agent_sdk._errors.ResultError", {"subtype": "error_max_turns"}, "max_steps"),
    ("claude_agent_sdk._errors.ResultError", {"subtype": "error_max_budget_usd"}, "budget_exceeded"),
    ("claude_agent_sdk._errors.ResultError", {"subtype": "success", "api_error_status": 529}, "overloaded"),
    ("claude_agent_sdk._errors.ResultError", {"subtype": "error_during_execution"}, "_OTHER"),
    ("a2a.client.errors.A2AClientTimeoutError", {}, "timeout"),
    ("a2a.client.errors.AgentCardResolutionError", {"status_code": 404}, "not_found"),
    ("a2a.utils.errors.TaskNotFoundError", {}, "not_found"),
    ("a2a.utils.errors.InvalidParamsError", {}, "invalid_request"),
    ("a2a.utils.errors.InternalError", {}, "server_error"),
    ("azure.core.exceptions.ServiceResponseTimeoutError", {}, "timeout"),
    ("azure.core.exceptions.ServiceRequestError", {}, "connection"),
    ("azure.core.exceptions.ClientAuthenticationError", {}, "auth"),
    (
        "azure.core.exceptions.HttpResponseError",
        {"error": SimpleNamespace(code="content_filter")},
        "content_filter",
    ),
    ("azure.core.exceptions.HttpResponseError", {"status_code": 429}, "rate_limited"),
    ("langchain.agents.middleware.model_call_limit.ModelCallLimitExceededError", {}, "max_steps"),
    ("langchain.agents.middleware.tool_call_limit.ToolCallLimitExceededError", {}, "max_steps"),
    ("smolagents.utils.AgentMaxStepsError", {}, "max_steps"),
]


@pytest.mark.parametrize(("path", "attributes", "expected"), HEAVY)
def test_a_class_is_known_by_its_package_and_name(path, attributes, expected):
    assert expected == ours.error_type(made(path, **attributes))


def test_a_provider_integration_that_mixes_in_a_framework_class_says_the_more_precise():
    openai, langchain_core = need("openai"), need("langchain_core.exceptions")

    class OpenAIContextOverflowError(openai.BadRequestError, langchain_core.ContextOverflowError):
        pass

    assert (
        ours.error_type(OpenAIContextOverflowError("m", response=reply(400), body=None)) == "context_length"
    )


def test_a_modelled_exception_of_a_bedrock_client_has_its_type():
    client = (
        need("botocore.session")
        .get_session()
        .create_client("bedrock-runtime", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    )
    error = client.exceptions.ThrottlingException({"Error": {"Code": "ThrottlingException"}}, "Converse")
    client.close()

    assert ours.error_type(error) == "rate_limited"


def test_a_grpc_call_under_way_is_not_waited_for():
    grpc = need("grpc")

    class Call(grpc.RpcError):
        def done(self):
            return False

        def code(self):
            pytest.fail("waited")

    assert ours.error_type(Call()) == "_OTHER"


def test_a_retry_wrapper_is_looked_through():
    tenacity = need("tenacity")
    error = raised(
        tenacity.retry(stop=tenacity.stop_after_attempt(2))(
            lambda: {}["x"] if 0 else (_ for _ in ()).throw(TimeoutError())
        )
    )

    assert type(error) is tenacity.RetryError
    assert ours.error_type(error) == "timeout"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_cancellation_of_an_anyio_backend_is_one(backend):
    anyio = need("anyio")
    if backend == "trio":
        need("trio")
    caught = []

    async def main():
        with anyio.move_on_after(0):
            try:
                await anyio.sleep(1)
            except anyio.get_cancelled_exc_class() as error:
                caught.append(error)
                raise

    anyio.run(main, backend=backend)

    assert ours.of_run(None, caught[0]) == ("cancelled", "cancelled", "cancelled")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_anyio_deadline_is_a_timeout(backend):
    anyio = need("anyio")
    if backend == "trio":
        need("trio")

    async def main():
        with anyio.fail_after(0):
            await anyio.sleep(1)

    assert ours.of_run(None, raised(lambda: anyio.run(main, backend=backend))) == (
        "incomplete",
        "timeout",
        "timeout",
    )


def test_an_asyncio_timeout_is_a_timeout_though_a_cancellation_caused_it():
    error = raised(lambda: asyncio.run(asyncio.wait_for(asyncio.sleep(1), timeout=0.001)))

    assert ours.of_run(None, error) == ("incomplete", "timeout", "timeout")


# Classes that nobody listed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RateLimitError", "rate_limited"),
        ("APITimeoutError", "timeout"),
        ("ReadTimeout", "timeout"),
        ("AuthenticationError", "auth"),
        ("Forbidden", "permission_denied"),
        ("NotFoundError", "not_found"),
        ("BadRequestError", "invalid_request"),
        ("InternalServerError", "server_error"),
        ("ConnectionClosed", "connection"),
        ("MaxTurnsExceeded", "max_steps"),
        ("MaxStepsReachedError", "max_steps"),
        ("BudgetExceeded", "budget_exceeded"),
        ("AgentStuckInLoopError", "loop_detected"),
        ("ValidationError", "_OTHER"),
        ("ToolError", "_OTHER"),
        ("ModelError", "_OTHER"),
        ("Error", "_OTHER"),
        ("Stop", "_OTHER"),
        ("Completed", "_OTHER"),
        ("OTHER", "_OTHER"),
    ],
)
def test_a_class_of_no_known_library_is_read_by_its_name(name, expected):
    assert expected == ours.error_type(made(f"shop.errors.{name}"))


def test_a_subclass_is_what_its_base_class_is():
    assert ours.error_type(made("shop.SlowWarehouse", TimeoutError)) == "timeout"
    assert ours.error_type(made("shop.SlowWarehouse", type(made("httpx.ReadTimeout")))) == "timeout"


def test_a_class_attribute_may_hold_the_code_or_the_status():
    class Teapot(Exception):
        status_code = 404

    class Busy(Exception):
        code = "rate_limit_exceeded"

    class Later(Busy):
        def __init__(self):
            self.code = "content_filter"

    assert ours.error_type(Teapot()) == "not_found"
    assert ours.error_type(Busy()) == "rate_limited"
    assert ours.error_type(Later()) == "content_filter"


def test_a_code_that_says_nothing_leaves_it_to_the_status():
    assert ours.error_type(made("shop.Unlisted", code="other", status_code=404)) == "not_found"


def test_no_property_of_an_exception_is_run():
    class Sly(Exception):
        def __getattr__(self, name):
            pytest.fail(f"asked for {name}")

        @property
        def status_code(self):
            pytest.fail("asked for status_code")

        code = error = response = body = exceptions = property(lambda self: pytest.fail("asked"))

    assert ours.error_type(Sly()) == "_OTHER"
    assert ours.of_run(None, Sly()) == ("error", "error", "_OTHER")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "_OTHER"),
        (302, "_OTHER"),
        (405, "invalid_request"),
        (410, "not_found"),
        (431, "invalid_request"),
        (501, "server_error"),
        (522, "timeout"),
        (524, "timeout"),
        (599, "server_error"),
        (600, "_OTHER"),
        (-1, "_OTHER"),
        (True, "_OTHER"),
        (4.04e2, "_OTHER"),
        (None, "_OTHER"),
        ("404", "not_found"),
        ("4040", "_OTHER"),
        (HTTPStatus.FORBIDDEN, "permission_denied"),
    ],
)
def test_an_http_status_has_its_type(status, expected):
    assert expected == ours.error_type(made("shop.Unlisted", status_code=status))


# Words given to fail()


@pytest.mark.parametrize(
    ("word", "expected"),
    [(each, each) for each in catalog.ERROR_TYPES]
    + [
        ("Rate-Limited", "rate_limited"),
        ("RATE_LIMIT_EXCEEDED", "rate_limited"),
        ("ThrottlingException", "rate_limited"),
        ("overloaded_error", "overloaded"),
        ("context_length_exceeded", "context_length"),
        ("ContextWindowExceededError", "context_length"),
        ("ECONNRESET", "connection"),
        ("ETIMEDOUT", "timeout"),
        ("MaxTurnsExceeded", "max_steps"),
        ("SAFETY", "content_filter"),
        ("refusal", "refused"),
        ("429", "rate_limited"),
        (429, "rate_limited"),
        (HTTPStatus.NOT_FOUND, "not_found"),
        (TimeoutError, "timeout"),
        (enum.Enum("Code", ["RESOURCE_EXHAUSTED"]).RESOURCE_EXHAUSTED, "rate_limited"),
        ("tool_error", "_OTHER"),
        ("completed", "_OTHER"),
        ("the request to the user's server timed out", "_OTHER"),
        ("timeout " * 20, "_OTHER"),
        ("", "_OTHER"),
        ("...", "_OTHER"),
        ("\N{SNOWMAN}", "_OTHER"),
        (b"timeout", "_OTHER"),
        (None, "_OTHER"),
        (object(), "_OTHER"),
    ],
)
def test_a_word_given_to_fail_has_its_type(word, expected):
    assert expected == ours.error_type(word)


# Causes and groups


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def test_a_wrapper_that_says_nothing_has_the_type_of_its_cause():
    assert ours.error_type(caused(RuntimeError(), caused(ValueError(), TimeoutError()))) == "timeout"


def test_a_wrapper_that_says_something_has_its_own_type():
    assert ours.error_type(caused(PermissionError(), TimeoutError())) == "permission_denied"


def test_what_happened_to_be_handled_at_the_time_decides_nothing():
    error = RuntimeError()
    error.__context__ = TimeoutError()

    assert ours.error_type(error) == "_OTHER"


@pytest.mark.parametrize(
    "cause", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr
)
def test_a_cancellation_is_not_looked_for_in_causes(cause):
    assert ours.of_run(None, caused(RuntimeError(), cause)) == ("error", "error", "_OTHER")


def test_a_loop_of_causes_ends():
    first, second = RuntimeError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    blame(second, "tool_error")

    assert ours.error_type(first) == "_OTHER"
    assert ours.of_run(None, first) == ("error", "tool_error", "_OTHER")


def test_a_chain_of_any_length_ends():
    error = TimeoutError()
    for _ in range(20_000):
        error = caused(RuntimeError(), error)

    assert ours.error_type(error) == "_OTHER"
    assert ours.of_run(None, error) == ("error", "error", "_OTHER")
    while error.__cause__ is not None:  # freed link by link: CPython frees a chain recursively
        error = error.__cause__


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([TimeoutError()], ("incomplete", "timeout", "timeout")),
        ([ValueError(), TimeoutError()], ("error", "error", "_OTHER")),
        ([asyncio.CancelledError(), ConnectionError()], ("error", "error", "connection")),
        ([asyncio.CancelledError(), asyncio.CancelledError()], ("cancelled", "cancelled", "cancelled")),
        ([asyncio.CancelledError(), KeyboardInterrupt()], ("cancelled", "cancelled", "cancelled")),
        ([asyncio.CancelledError(), SystemExit()], ("cancelled", "shutdown", "shutdown")),
        ([GeneratorExit()], ("cancelled", "abandoned", None)),
        ([GeneratorExit(), asyncio.CancelledError()], ("cancelled", "cancelled", "cancelled")),
        ([BaseExceptionGroup("inner", [asyncio.CancelledError()])], ("cancelled", "cancelled", "cancelled")),
        (
            [
                BaseExceptionGroup("inner", [asyncio.CancelledError()]),
                ExceptionGroup("inner", [TimeoutError()]),
            ],
            ("incomplete", "timeout", "timeout"),
        ),
        ([caused(RuntimeError(), TimeoutError())], ("incomplete", "timeout", "timeout")),
    ],
    ids=repr,
)
def test_a_group_is_what_its_first_real_error_is(members, expected):
    assert expected == ours.of_run(None, BaseExceptionGroup("m", members))


def test_a_group_is_known_by_its_shape():
    class BaseExceptionGroup(Exception):  # the backport's is such a class too
        exceptions = (TimeoutError(),)

    assert ours.error_type(BaseExceptionGroup()) == "timeout"


def test_something_else_of_a_groups_name_is_no_group():
    class BaseExceptionGroup(Exception):
        exceptions = "many"

    assert ours.of_run(None, BaseExceptionGroup()) == ("error", "error", "_OTHER")


# Blame


def test_a_blamed_exception_decides_over_what_it_means():
    error = TimeoutError()
    blame(error, "tool_error")

    assert ours.of_run(None, error) == ("error", "tool_error", "timeout")


def test_the_last_blame_wins():
    error = ValueError()
    blame(error, "tool_error")
    blame(error, "model_error")

    assert ours.of_run(None, error) == ("error", "model_error", "_OTHER")


def test_blame_is_found_through_causes_and_groups():
    error = ValueError()
    blame(error, "tool_error")
    group = ExceptionGroup("m", [KeyError(), ExceptionGroup("n", [caused(RuntimeError(), error)])])

    assert ours.of_run(None, caused(RuntimeError(), group))[:2] == ("error", "tool_error")


def test_blame_is_not_looked_for_in_contexts():
    handled, error = ValueError(), KeyError()
    blame(handled, "tool_error")
    error.__context__ = handled

    assert ours.of_run(None, error) == ("error", "error", "_OTHER")


def test_a_group_that_leaves_a_block_is_blamed_with_its_members():
    real, cancelled = ValueError(), asyncio.CancelledError()
    blame(BaseExceptionGroup("m", [real, cancelled]), "tool_error")

    assert ours.of_run(None, ExceptionGroup("another", [real]))[1] == "tool_error"
    assert ours.of_run(None, caused(TimeoutError(), cancelled))[1] == "timeout"


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        concurrent.futures.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        BaseExceptionGroup("m", [asyncio.CancelledError()]),
    ],
    ids=repr,
)
def test_a_cancellation_is_never_blamed(error):
    blame(error, "tool_error")

    assert outcomes._MARK not in vars(error)


def test_a_run_that_timed_out_while_a_tool_was_under_way_timed_out():
    async def tool():
        try:
            await asyncio.sleep(1)
        except BaseException as error:
            blame(error, "tool_error")
            raise

    error = raised(lambda: asyncio.run(asyncio.wait_for(tool(), timeout=0.001)))

    assert ours.of_run(None, error)[1] == "timeout"


def test_blame_stays_with_the_object_though_ids_are_reused():
    reasons, ids = set(), set()
    for turn in range(1000):
        error: BaseException = ValueError()
        ids.add(id(error))
        if turn % 2:
            blame(error, "tool_error")
            continue
        reasons.add(ours.of_run(None, error)[1])
        del error
    gc.collect()

    assert len(ids) < 1000
    assert reasons == {"error"}


def test_blame_travels_with_an_exception_to_another_process():
    error = ValueError("x")
    blame(error, "tool_error")

    assert ours.of_run(None, pickle.loads(pickle.dumps(error)))[1] == "tool_error"


def test_blame_leaves_alone_what_it_cannot_mark():
    class Sealed(Exception):
        __dict__ = property(lambda self: MappingProxyType({}))

    error = Sealed()
    blame(error, "tool_error")

    assert ours.of_run(None, error) == ("error", "error", "_OTHER")


def test_a_foreign_mark_counts_for_nothing():
    error = ValueError()
    vars(error)[outcomes._MARK] = ["tool_error"]

    assert ours.of_run(None, error) == ("error", "error", "_OTHER")


# of_run


@pytest.mark.parametrize(
    ("stopped", "error", "expected"),
    [
        (None, None, ("ok", "completed", None)),
        ("completed", None, ("ok", "completed", None)),
        ("max_steps", None, ("incomplete", "max_steps", None)),
        ("cancelled", None, ("cancelled", "cancelled", None)),
        ("tool_error", None, ("error", "tool_error", None)),
        ("_OTHER", None, ("incomplete", "_OTHER", None)),
        ("not a reason", None, ("incomplete", "_OTHER", None)),
        ("max_steps", ValueError(), ("incomplete", "max_steps", "_OTHER")),
        ("refused", asyncio.CancelledError(), ("incomplete", "refused", "cancelled")),
        ("refused", GeneratorExit(), ("incomplete", "refused", None)),
        ("completed", ValueError(), ("error", "error", "_OTHER")),
        ("completed", asyncio.CancelledError(), ("cancelled", "cancelled", "cancelled")),
        (None, ValueError(), ("error", "error", "_OTHER")),
        (None, ConnectionError(), ("error", "error", "connection")),
        (None, TimeoutError(), ("incomplete", "timeout", "timeout")),
        (None, asyncio.CancelledError(), ("cancelled", "cancelled", "cancelled")),
        (None, KeyboardInterrupt(), ("cancelled", "cancelled", "cancelled")),
        (None, SystemExit(), ("cancelled", "shutdown", "shutdown")),
        (None, GeneratorExit(), ("cancelled", "abandoned", None)),
        (None, made("agents.exceptions.MaxTurnsExceeded"), ("incomplete", "max_steps", "max_steps")),
        (None, made("langgraph.errors.GraphRecursionError"), ("incomplete", "max_steps", "max_steps")),
        (
            None,
            made("pydantic_ai.exceptions.UsageLimitExceeded"),
            ("incomplete", "budget_exceeded", "budget_exceeded"),
        ),
        (
            None,
            made("agents.exceptions.InputGuardrailTripwireTriggered"),
            ("incomplete", "guardrail", "guardrail"),
        ),
        (None, made("agents.exceptions.ModelRefusalError"), ("incomplete", "refused", "refused")),
        (None, made("langgraph.errors.GraphInterrupt"), ("incomplete", "human_handoff", "human_handoff")),
        (None, made("langgraph.errors.GraphDrained"), ("cancelled", "shutdown", "shutdown")),
        (None, made("langgraph.errors.NodeCancelledError"), ("error", "error", "_OTHER")),
        (None, made("pydantic_ai.exceptions.RunCancelled"), ("cancelled", "cancelled", "cancelled")),
        (None, "rate_limited", ("error", "error", "rate_limited")),
        (None, "timeout", ("incomplete", "timeout", "timeout")),
        (None, "MaxTurnsExceeded", ("incomplete", "max_steps", "max_steps")),
        (None, "content_filter", ("incomplete", "content_filter", "content_filter")),
        (None, "cancelled", ("cancelled", "cancelled", "cancelled")),
        (None, "tool_error", ("error", "tool_error", "_OTHER")),
        (None, "model_error", ("error", "model_error", "_OTHER")),
        (None, "completed", ("error", "error", "_OTHER")),
        (None, "_OTHER", ("error", "error", "_OTHER")),
        (None, "no such word", ("error", "error", "_OTHER")),
        (None, object(), ("error", "error", "_OTHER")),
        ("completed", "timeout", ("incomplete", "timeout", "timeout")),
    ],
    ids=repr,
)
def test_a_run_ends_as_the_rules_say(stopped, error, expected):
    assert expected == ours.of_run(stopped, error)


# Stop words

# Whose word: reason: the words as they are sent or written.
STOP_WORDS = {
    "OpenAI": {
        "completed": "stop tool_calls function_call completed",
        "max_tokens": "length max_output_tokens max_completion_tokens max_prompt_tokens",
        "content_filter": "content_filter",
        "timeout": "expired",
        "human_handoff": "requires_action",
        "error": "failed",
        "cancelled": "cancelled cancelling client_cancelled turn_detected",
        "_OTHER": "incomplete in_progress queued",  # no end, or its reason stands beside it
    },
    "Anthropic": {
        "completed": "end_turn stop_sequence tool_use",
        "max_steps": "pause_turn",  # the server's own tool loop reached its limit
        "max_tokens": "max_tokens model_context_window_exceeded",
        "refused": "refusal",
        "_OTHER": "compaction",
    },
    "Gemini": {
        "completed": "STOP",
        "max_steps": "TOO_MANY_TOOL_CALLS",
        "max_tokens": "MAX_TOKENS CONTINUATION FinishReason.MAX_TOKENS",
        "content_filter": "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY JAILBREAK "
        "IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION ESCALATION PUP_LIMITED_DISABLED",
        "refused": "RESPONSE_REJECTED",
        "guardrail": "MODEL_ARMOR",
        "human_handoff": "NEED_MORE_INPUT",
        "model_error": "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE",
        "_OTHER": "OTHER IMAGE_OTHER NO_IMAGE FINISH_REASON_UNSPECIFIED",
    },
    "Bedrock": {
        "completed": "end_turn tool_use stop_sequence FINISHED STOP_CRITERIA_MET SUCCESS",
        "max_tokens": "max_tokens LENGTH model_context_window_exceeded",
        "content_filter": "content_filtered CONTENT_FILTERED",
        "guardrail": "guardrail_intervened",
        "human_handoff": "INPUT_REQUIRED",
        "model_error": "malformed_model_output malformed_tool_use",
    },
    "Mistral": {"completed": "stop tool_calls", "max_tokens": "length model_length", "error": "error"},
    "Cohere": {
        "completed": "COMPLETE STOP_SEQUENCE TOOL_CALL",
        "max_tokens": "MAX_TOKENS ERROR_LIMIT",
        "timeout": "TIMEOUT",
        "content_filter": "ERROR_TOXIC",
        "error": "ERROR",
        "cancelled": "USER_CANCEL",
    },
    "xAI": {
        "completed": "REASON_STOP REASON_TOOL_CALLS",
        "max_tokens": "REASON_MAX_LEN REASON_MAX_CONTEXT",
        "timeout": "REASON_TIME_LIMIT",
    },
    "watsonx": {"completed": "eos_token", "max_tokens": "token_limit", "timeout": "time_limit"},
    "DeepSeek": {"model_error": "insufficient_system_resource"},
    "Zhipu": {"content_filter": "sensitive", "model_error": "network_error"},
    "vLLM": {"completed": "stop", "max_tokens": "length", "cancelled": "abort"},
    "MCP sampling": {"completed": "endTurn stopSequence toolUse", "max_tokens": "maxTokens"},
    "Agent Client Protocol": {
        "completed": "end_turn",
        "max_steps": "max_turn_requests",
        "refused": "refusal",
        "cancelled": "cancelled",
    },
    "A2A": {
        "completed": "completed TASK_STATE_COMPLETED",
        "refused": "rejected TASK_STATE_REJECTED",
        "human_handoff": "input-required auth-required TASK_STATE_INPUT_REQUIRED TASK_STATE_AUTH_REQUIRED",
        "error": "failed TASK_STATE_FAILED",
        "cancelled": "canceled TASK_STATE_CANCELED",
        "_OTHER": "working submitted TASK_STATE_UNSPECIFIED",  # no end
    },
    "Claude Agent SDK": {
        "completed": "success completed",
        "max_steps": "error_max_turns max_turns",
        "max_tokens": "prompt_too_long blocking_limit",
        "budget_exceeded": "error_max_budget_usd budget_exhausted",
        "guardrail": "hook_stopped stop_hook_prevented",
        "human_handoff": "tool_deferred",
        "model_error": "api_error model_error error_max_structured_output_retries malformed_tool_use_exhausted "
        "structured_output_retry_exhausted",
        "error": "error_during_execution image_error",
        "cancelled": "aborted_streaming aborted_tools",
    },
    "OpenAI Agents": {
        "max_steps": "MaxTurnsExceeded agents.exceptions.MaxTurnsExceeded",
        "refused": "ModelRefusalError",
        "guardrail": "InputGuardrailTripwireTriggered OutputGuardrailTripwireTriggered "
        "ToolInputGuardrailTripwireTriggered ToolOutputGuardrailTripwireTriggered",
        "model_error": "ModelBehaviorError",
    },
    "LangChain and LangGraph": {
        "max_steps": "GraphRecursionError GRAPH_RECURSION_LIMIT recursion_limit ModelCallLimitExceededError "
        "ToolCallLimitExceededError",
        "human_handoff": "GraphInterrupt NodeInterrupt",
        "shutdown": "GraphDrained",
    },
    "pydantic-ai": {
        "completed": "stop tool_call",
        "max_tokens": "length",
        "budget_exceeded": "UsageLimitExceeded",
        "content_filter": "content_filter",
        "human_handoff": "ApprovalRequired CallDeferred",
        "model_error": "UnexpectedModelBehavior",
        "error": "error",
        "cancelled": "interrupted RunCancelled",
    },
    "google-adk": {"max_steps": "LlmCallsLimitExceededError"},
    "Vercel": {
        "completed": "stop tool-calls",
        "max_tokens": "length",
        "content_filter": "content-filter",
        "error": "error",
        "_OTHER": "other unknown",
    },
    "AutoGen": {"completed": "stop function_calls", "max_tokens": "length", "_OTHER": "unknown"},
    "Strands": {"human_handoff": "interrupt", "guardrail": "guardrail_intervened"},
    "Letta": {
        "completed": "end_turn no_tool_call tool_rule",
        "max_steps": "max_steps",
        "human_handoff": "requires_approval",
        "model_error": "llm_api_error invalid_llm_response invalid_tool_call",
    },
    "smolagents": {"completed": "success", "max_steps": "max_steps_error AgentMaxStepsError"},
    "OpenHands": {
        "completed": "finished",
        "loop_detected": "AgentStuckInLoopError",
        "human_handoff": "awaiting_user_input awaiting_user_confirmation",
    },
    "loops written by hand": {
        "completed": "done Done SUCCEEDED final_answer",
        "max_steps": "max-steps MaxSteps max_iterations max_iterations_reached MaxStepsExceededError",
        "max_tokens": "context_length_exceeded",
        "timeout": "TimeoutError timed_out deadline_exceeded",
        "budget_exceeded": "BudgetExceeded budget max_budget cost_limit_reached",
        "loop_detected": "stuck infinite-loop",
        "tool_error": "ToolExecutionError tool_failure",
        "cancelled": "CancelledError KeyboardInterrupt Aborted",
        "abandoned": "GeneratorExit ClientDisconnect",
        "shutdown": "SystemExit SIGTERM",
        "_OTHER": "_OTHER other rate_limited",
    },
}
STOP_ROWS = [
    pytest.param(word, reason, id=f"{whose}: {word}")
    for whose, reasons in STOP_WORDS.items()
    for reason, words in reasons.items()
    for word in words.split()
]


@pytest.mark.parametrize(("word", "expected"), STOP_ROWS)
def test_a_stop_word_has_its_reason(word, expected):
    assert expected == ours.stop_reason(word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Agent stopped due to max iterations.", "max_steps"),  # LangChain's AgentExecutor
        ("Maximum number of messages 10 reached", "_OTHER"),  # AutoGen: a sentence with a number in it
        ("end turn", "completed"),
        ("  stop  ", "completed"),
        ("stop" * 100, "_OTHER"),
        ("", "_OTHER"),
    ],
)
def test_a_stop_word_may_stand_in_a_few_forms_but_text_is_not_read(word, expected):
    assert expected == ours.stop_reason(word)


@pytest.mark.parametrize("reason", catalog.STOP_REASONS)
def test_every_stop_reason_of_ours_is_itself_in_any_case(reason):
    assert [reason] * 3 == [ours.stop_reason(each) for each in (reason, reason.upper(), f"  {reason}.")]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (enum.Enum("FinishReason", {"STOP": 1}).STOP, "completed"),
        (enum.Enum("FinishReason", {"A": "MAX_TOKENS"}).A, "max_tokens"),
        (enum.IntEnum("FinishReason", {"SAFETY": 3}).SAFETY, "content_filter"),
        (enum.Enum("StopReason", {"A": "tool-calls"}, type=str).A, "completed"),
        (made("agents.exceptions.MaxTurnsExceeded"), "max_steps"),
        (TimeoutError, "timeout"),
        (3, "_OTHER"),
        (True, "_OTHER"),
        (None, "_OTHER"),
        (["stop"], "_OTHER"),
        (b"stop", "_OTHER"),
    ],
    ids=repr,
)
def test_a_stop_word_may_be_an_enum_member_or_an_exception(word, expected):
    assert expected == ours.stop_reason(word)


def test_every_finish_reason_of_the_gemini_client_has_a_reason_but_those_that_say_nothing():
    reasons = need("google.genai.types").FinishReason
    unknown = {each.name for each in reasons if ours.stop_reason(each) == "_OTHER"}

    assert unknown == {"FINISH_REASON_UNSPECIFIED", "IMAGE_OTHER", "NO_IMAGE", "OTHER"}


def test_every_stop_reason_of_bedrock_has_a_reason():
    client = (
        need("botocore.session")
        .get_session()
        .create_client("bedrock-runtime", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    )
    words = client.meta.service_model.shape_for("StopReason").enum
    client.close()

    assert {each for each in words if ours.stop_reason(each) == "_OTHER"} == set()


# A team's own


def test_a_team_declares_its_own_stop_reasons():
    team = Outcomes({"needs_review": "incomplete", "handed_over": "ok"})

    assert {**catalog.STOP_REASONS, "needs_review": "incomplete", "handed_over": "ok"} == dict(team.statuses)
    assert team.stop_reason("Needs-Review") == "needs_review"
    assert team.of_run("handed_over", None) == ("ok", "handed_over", None)
    assert team.of_run("needs_review", ValueError()) == ("incomplete", "needs_review", "_OTHER")
    assert ours.stop_reason("needs_review") == "_OTHER"


class OutOfStock(Exception):
    pass


@pytest.mark.parametrize(
    "key",
    [f"{__name__}.OutOfStock", "OutOfStock", "builtins.Exception", "stock_code", "StockCode", "STOCK-CODE"],
)
def test_a_teams_entry_is_a_class_path_a_class_name_or_a_code(key):
    error = OutOfStock()
    error.code = "stock_code"
    team = Outcomes(error_types={key: "no_stock"})

    assert team.error_type(error) == "no_stock"
    assert team.error_types == (*catalog.ERROR_TYPES, "no_stock")
    assert team.error_type("no_stock") == "no_stock"
    assert team.of_run(None, error) == ("error", "error", "no_stock")


def test_a_teams_entry_goes_before_ours_however_little_it_says():
    team = Outcomes(
        error_types={"openai.RateLimitError": "server_error", "insufficient_quota": "rate_limited"}
    )
    limited = made("openai.RateLimitError", status_code=429)
    spent = made("openai.BadRequestError", status_code=400, code="insufficient_quota")

    assert team.error_type(limited) == "server_error"
    assert team.error_type(spent) == "rate_limited"
    assert team.error_type("insufficient_quota") == "rate_limited"
    assert team.error_type("openai.RateLimitError") == "server_error"
    assert team.error_type(TimeoutError()) == "timeout"
    assert team.error_types == catalog.ERROR_TYPES


def test_a_teams_entry_for_a_package_holds_wherever_the_class_stands_in_it():
    team = Outcomes(error_types={"shop.OutOfStock": "not_found"})

    assert team.error_type(made("shop.inventory.errors.OutOfStock")) == "not_found"


def test_a_teams_error_type_may_be_a_stop_reason_of_its_own():
    team = Outcomes({"no_stock": "incomplete"}, {"shop.OutOfStock": "no_stock"})

    assert team.of_run(None, made("shop.OutOfStock")) == ("incomplete", "no_stock", "no_stock")


# Whatever comes


class Hostile(Exception):
    """Raises at every touch that Python lets a class answer itself."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = __str__ = __repr__ = __bool__ = __len__ = __eq__


class HostileWord:
    @property
    def __class__(self):
        raise RuntimeError("class")

    def __str__(self):
        raise RuntimeError("str")

    __repr__ = __hash__ = __eq__ = __bool__ = __str__


class HostileString(str):
    def __str__(self):
        raise RuntimeError("str")

    __eq__ = __hash__ = __len__ = lower = strip = isdecimal = __str__


class HostileEnum(enum.Enum):
    ONE = 1

    @property
    def value(self):
        raise RuntimeError("value")


@pytest.mark.parametrize(
    "build", [Hostile, HostileWord, lambda: HostileString("stop"), lambda: HostileEnum.ONE], ids=range(4)
)
def test_a_hostile_object_raises_nothing(build):
    thing = build()
    blame(thing, "tool_error")

    assert ours.error_type(thing) in ours.error_types
    assert ours.stop_reason(thing) in ours.statuses
    assert ours.of_run(None, thing)[0] == "error"


def exceptions() -> st.SearchStrategy[BaseException]:
    plain = st.sampled_from(
        [
            ValueError,
            TimeoutError,
            OSError,
            asyncio.CancelledError,
            KeyboardInterrupt,
            SystemExit,
            GeneratorExit,
        ]
    ).flatmap(st.builds)
    listed = st.sampled_from(sorted(outcomes._CLASSES)).map(made)
    attributes = st.dictionaries(
        st.sampled_from([*outcomes._NAMES, "body", "response", "reason"]),
        st.integers()
        | st.text()
        | st.sampled_from(sorted(outcomes._CODES))
        | st.none()
        | st.dictionaries(st.text(), st.text()),
    )
    built = st.builds(lambda error, found: (vars(error).update(found), error)[1], plain | listed, attributes)
    return st.recursive(
        built,
        lambda inner: (
            st.builds(caused, built, inner)
            | st.lists(inner, min_size=1, max_size=3).map(lambda members: BaseExceptionGroup("m", members))
        ),
        max_leaves=6,
    )


ANYTHING = (
    exceptions()
    | st.text()
    | st.integers()
    | st.none()
    | st.binary()
    | st.booleans()
    | st.lists(st.text())
    | st.sampled_from(sorted(outcomes._STOP_WORDS))
    | st.sampled_from([ValueError, HTTPStatus.NOT_FOUND, ModuleType("m")])
)


@given(error=ANYTHING, word=ANYTHING, marked=st.booleans())
def test_whatever_comes_the_answer_is_in_the_vocabularies(error, word, marked):
    if marked:
        blame(error, "tool_error")
    stopped = ours.stop_reason(word)
    status, reason, kind = ours.of_run(stopped, error)

    assert stopped in ours.statuses
    assert ours.error_type(error) in catalog.ERROR_TYPES
    assert ours.statuses[reason] == status
    assert kind is None or kind == ours.error_type(error)


# The tables


@pytest.mark.parametrize(
    ("table", "vocabulary"),
    [
        (outcomes._CLASSES, catalog.ERROR_TYPES),
        (outcomes._CODES, catalog.ERROR_TYPES),
        (outcomes._STATUSES, catalog.ERROR_TYPES),
        (outcomes._STOP_WORDS, catalog.STOP_REASONS),
        (outcomes._CANCELLATIONS, catalog.STOP_REASONS),
    ],
)
def test_the_tables_lead_into_the_vocabularies(table, vocabulary):
    assert set(table.values()) - set(vocabulary) == set()


def test_every_row_means_what_it_says():
    classes = {
        name: ours.error_type(made(name)) for name in outcomes._CLASSES if not name.startswith("builtins.")
    }
    codes = {
        code: ours.error_type(int(code) if code[0] == "-" else code)
        for code in outcomes._CODES
        if "." not in code
    }
    words = {word: ours.stop_reason(word) for word in outcomes._STOP_WORDS}

    assert outcomes._CLASSES == outcomes._CLASSES | classes
    assert outcomes._CODES == outcomes._CODES | codes
    assert outcomes._STOP_WORDS == words


def test_no_word_of_a_table_stands_twice():
    source = Path(outcomes.__file__).read_text(encoding="utf-8")
    twice = []
    for text in source.split('_table("""')[1:]:
        words = text.split('"""')[0].replace(";", " ").split()
        package, seen = "", set()
        for word in words:
            package = word if word.startswith("[") else package
            if word[-1] not in "]:":
                twice += [package + word] if package + word in seen else []
                seen.add(package + word)

    assert twice == []


@pytest.mark.parametrize("word", [*outcomes._CODES, *outcomes._STOP_WORDS])
def test_a_word_of_a_table_is_in_the_form_in_which_it_is_looked_up(word):
    plain = word.rpartition(".")[2]

    assert plain in {outcomes._key(plain), f"-{outcomes._key(plain)}"}


def test_no_library_is_imported_to_know_its_exceptions():
    libraries = {name.partition(".")[0] for name in outcomes._CLASSES} - sys.stdlib_module_names
    script = f"""
        import sys
        sys.path.insert(0, {str(Path(outcomes.__file__).parent.parent)!r})
        from agent_otel.outcomes import Outcomes
        Outcomes().of_run("length", TimeoutError())
        print(*sorted(sys.modules))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )

    assert len(libraries) > 20
    assert libraries & set(run.stdout.split()) == set()
