"""What every vendor documents of its errors, and what each means: status, body, headers. A table, for the tests.

Shapes are those of the vendors' references, of their clients' sources, and of answers that their users have reported; words,
numbers and ids are made up. Header names are lower-case, as the wire hands them over. Where a vendor has a code for it, the code
is in the row; what a status means by itself is in the rows of `plain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from engine.core.faults import FaultKind

RATE, BURST, OVERLOAD, QUOTA = FaultKind.RATE, FaultKind.BURST, FaultKind.OVERLOAD, FaultKind.QUOTA
TOO_BIG, NETWORK, MALFORMED = FaultKind.TOO_BIG, FaultKind.NETWORK, FaultKind.MALFORMED
REFUSED, BAD, AUTH = FaultKind.REFUSED, FaultKind.BAD, FaultKind.AUTH


@dataclass(frozen=True, slots=True)
class Row:
    """One answer. `body` is text, or what becomes JSON."""

    status: int
    body: Any
    kind: FaultKind
    hint: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    billed: bool = False


def plain(shape: Any, kinds: Mapping[int, FaultKind]) -> Iterable[Row]:
    """Statuses that say all."""
    return [Row(status, shape, kind) for status, kind in kinds.items()]


GATEWAY = Row(502, "<html><body><h1>502 Bad Gateway</h1></body></html>", OVERLOAD)
NONSENSE = Row(200, "<html>captive portal</html>", MALFORMED, billed=True)

# Language models


def error(code: Any = None, kind: str | None = None, message: str = "no") -> dict[str, Any]:
    """OpenAI's form, which most others took over."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def told(limits: Mapping[str, tuple[int, int, str]], **more: str) -> dict[str, str]:
    """Headers of limits: limit, remaining and reset by dimension."""
    tells = ("limit", "remaining", "reset")
    named = {
        f"x-ratelimit-{tell}-{of}": str(value) for of, three in limits.items() for tell, value in zip(tells, three, strict=True)
    }
    return named | {name.replace("_", "-"): value for name, value in more.items()}


_STATUSES = {400: BAD, 401: AUTH, 403: AUTH, 404: AUTH, 408: NETWORK, 409: OVERLOAD, 422: BAD, 500: OVERLOAD, 503: OVERLOAD}
_TIGHT = "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 30601."

OPENAI = (
    Row(
        429,
        error("rate_limit_exceeded", "requests", "Rate limit reached for requests"),
        RATE,
        1.0,
        told({"requests": (60, 0, "59s")}, retry_after="1"),
    ),
    Row(429, error("rate_limit_exceeded", "tokens"), RATE, 6.5, told({"tokens": (30_000, 0, "1s")}, retry_after_ms="6500")),
    Row(429, error("rate_limit_exceeded", "tokens"), RATE, 360.0, told({"requests": (500, 3, "2s"), "tokens": (100, 0, "6m0s")})),
    Row(429, error("rate_limit_exceeded", "tokens", "Limit 100, Used 99, Requested 2. Please try again in 1.2s."), RATE, 1.2),
    Row(429, error("rate_limit_exceeded", "tokens", _TIGHT), TOO_BIG),
    Row(429, error("insufficient_quota", "insufficient_quota"), QUOTA),
    Row(429, error("billing_hard_limit_reached", "insufficient_quota"), QUOTA),
    Row(429, error("credit_balance_exhausted", "insufficient_quota"), QUOTA),
    Row(429, error(None, "requests"), RATE, 30.0, {"retry-after": "30"}),
    Row(400, error("context_length_exceeded", "invalid_request_error"), TOO_BIG),
    Row(400, error("string_above_max_length", "invalid_request_error"), TOO_BIG),
    Row(400, error("content_policy_violation", "invalid_request_error"), REFUSED),
    Row(400, error("content_filter", "invalid_request_error"), REFUSED),
    Row(400, error("unsupported_value", "invalid_request_error"), BAD),
    Row(401, error("invalid_api_key", "invalid_request_error"), AUTH),
    Row(404, error("model_not_found", "invalid_request_error"), AUTH),
    Row(500, error(None, "server_error"), OVERLOAD),
    Row(500, error(None, "server_error"), BAD, None, {"x-should-retry": "false"}),
    Row(400, error(None, "invalid_request_error"), OVERLOAD, None, {"x-should-retry": "true"}),
    Row(503, error(None, "server_error", "The engine is currently overloaded"), OVERLOAD, 4.0, {"retry-after": "4"}),
    Row(503, error("slow_down", "server_error"), BURST),
    *plain(error(), _STATUSES),
    GATEWAY,
    NONSENSE,
)
_SILENT = told({"requests": (-1, -1, "0"), "tokens": (-1, -1, "0")})
AZURE_OPENAI = (
    Row(429, error("429"), RATE, 5.5, {"retry-after": "6", "retry-after-ms": "5500"}),
    Row(429, error("429", None, "exceeded token rate limit of your tier. Please retry after 6 seconds."), RATE, 6.0, _SILENT),
    Row(429, error("429"), RATE, None, _SILENT),
    Row(429, error("429"), RATE, 86_400.0, {"retry-after": "86400"}),
    Row(429, error("429"), RATE, 55.0, {"x-rate-limit-reset-tokens": "55"}),
    Row(429, error("RateLimitReached"), RATE, 2.0, {"retry-after": "2"}),
    Row(429, error("NoCapacity"), OVERLOAD, 7.0, {"retry-after": "7"}),
    Row(429, error("insufficient_quota", "insufficient_quota"), QUOTA),
    Row(403, error("quota_exceeded"), QUOTA),
    Row(400, error("content_filter", None, "The response was filtered"), REFUSED),
    Row(400, error("ResponsibleAIPolicyViolation"), REFUSED),
    Row(400, error("context_length_exceeded", "invalid_request_error"), TOO_BIG),
    Row(400, error("OperationNotSupported"), BAD),
    Row(401, error("401"), AUTH),
    Row(404, error("DeploymentNotFound"), AUTH),
    Row(404, error("unknown_model"), AUTH),
    *plain(error(), _STATUSES),
    GATEWAY,
    NONSENSE,
)


def anthropic(kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}


def _anthropic(remaining: tuple[int, int, int, int]) -> dict[str, str]:
    names = ("requests", "tokens", "input-tokens", "output-tokens")
    limits = (50, 38_000, 30_000, 8_000)
    found: dict[str, str] = {}
    for name, limit, left in zip(names, limits, remaining, strict=True):
        tells = {"limit": str(limit), "remaining": str(left), "reset": "2026-01-01T00:00:37Z"}
        found |= {f"anthropic-ratelimit-{name}-{tell}": value for tell, value in tells.items()}
    return found | {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}


ANTHROPIC = (
    Row(429, anthropic("rate_limit_error"), RATE, 12.0, {**_anthropic((0, 30_000, 28_000, 8_000)), "retry-after": "12"}),
    Row(429, anthropic("rate_limit_error"), RATE, 37.0, _anthropic((10, 0, 0, 8_000))),
    Row(429, anthropic("rate_limit_error"), RATE, 62_291.0, {"retry-after": "62291"}),
    Row(529, anthropic("overloaded_error"), OVERLOAD),
    Row(529, "", OVERLOAD),
    Row(500, anthropic("api_error"), OVERLOAD),
    Row(500, anthropic("api_error"), BAD, None, {"x-should-retry": "false"}),
    Row(504, anthropic("timeout_error"), OVERLOAD),
    Row(400, anthropic("invalid_request_error"), BAD),
    Row(400, anthropic("billing_error"), QUOTA),
    Row(402, anthropic("billing_error"), QUOTA),
    Row(401, anthropic("authentication_error"), AUTH),
    Row(403, anthropic("permission_error"), AUTH),
    Row(404, anthropic("not_found_error"), AUTH),
    Row(413, anthropic("request_too_large"), TOO_BIG),
    Row(400, anthropic("invalid_request_error"), OVERLOAD, None, {"x-should-retry": "true"}),
    Row(408, "", NETWORK),
    Row(409, "", OVERLOAD),
    Row(200, anthropic("overloaded_error"), OVERLOAD),
    GATEWAY,
    NONSENSE,
)


def google(code: int, state: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no", "status": state, "details": list(details)}}


def passed(quota: str, value: str = "15") -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota, "quotaValue": value}]}


_SOON = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
_EXHAUSTED = "RESOURCE_EXHAUSTED"
GEMINI = (
    Row(429, google(429, _EXHAUSTED, passed(_MINUTE), _SOON), RATE, 17.0),
    Row(429, google(429, _EXHAUSTED, passed("GenerateContentInputTokensPerModelPerMinute-FreeTier"), _SOON), RATE, 17.0),
    Row(429, google(429, _EXHAUSTED, passed("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), _SOON), QUOTA),
    Row(429, google(429, _EXHAUSTED, passed(_MINUTE, "0"), _SOON), QUOTA),
    Row(429, [google(429, _EXHAUSTED, passed(_MINUTE), _SOON)], RATE, 17.0),
    Row(429, google(429, _EXHAUSTED), RATE),
    Row(400, google(400, "INVALID_ARGUMENT"), BAD),
    Row(400, google(400, "INVALID_ARGUMENT", _KEY), AUTH),
    Row(400, google(400, "FAILED_PRECONDITION"), AUTH),
    Row(401, google(401, "UNAUTHENTICATED"), AUTH),
    Row(403, google(403, "PERMISSION_DENIED"), AUTH),
    Row(404, google(404, "NOT_FOUND"), AUTH),
    Row(499, google(499, "CANCELLED"), OVERLOAD),
    Row(500, google(500, "INTERNAL"), OVERLOAD),
    Row(503, google(503, "UNAVAILABLE"), OVERLOAD),
    Row(503, google(503, _EXHAUSTED), OVERLOAD),
    Row(504, google(504, "DEADLINE_EXCEEDED"), OVERLOAD),
    GATEWAY,
    NONSENSE,
)
DEEPSEEK = (
    Row(400, error("invalid_request_error", "invalid_request_error"), BAD),
    Row(401, error("invalid_request_error", "authentication_error"), AUTH),
    Row(402, error("invalid_request_error", "unknown_error", "Insufficient Balance"), QUOTA),
    Row(422, error("invalid_request_error", "invalid_request_error"), BAD),
    Row(429, error(None, "rate_limit_error"), RATE),
    Row(500, error(None, "server_error"), OVERLOAD),
    Row(503, error(None, "service_unavailable_error"), OVERLOAD),
    Row(400, error("context_length_exceeded", "invalid_request_error"), TOO_BIG),
    Row(200, {"choices": [{"message": {"content": ""}, "finish_reason": "insufficient_system_resource"}]}, OVERLOAD, billed=True),
    GATEWAY,
    NONSENSE,
)


def native(code: str) -> dict[str, Any]:
    """DashScope's own form."""
    return {"code": code, "message": "no", "request_id": "r-1"}


DASHSCOPE = (
    *(Row(429, error(code, code), RATE) for code in ("limit_requests", "insufficient_quota", "Throttling")),
    *(Row(429, native(code), RATE) for code in ("Throttling.RateQuota", "Throttling.AllocationQuota")),
    Row(429, error("limit_burst_rate", "limit_burst_rate"), BURST),
    Row(429, native("Throttling.BurstRate"), BURST),
    Row(400, error("Arrearage", "Arrearage"), QUOTA),
    Row(403, error("AllocationQuota.FreeTierOnly", "AllocationQuota.FreeTierOnly"), QUOTA),
    Row(400, error("data_inspection_failed", "data_inspection_failed"), REFUSED),
    Row(400, native("DataInspectionFailed"), REFUSED),
    Row(401, native("InvalidApiKey"), AUTH),
    Row(404, native("ModelNotFound"), AUTH),
    Row(400, error("invalid_parameter_error", "invalid_request_error"), BAD),
    Row(500, error("internal_error", "internal_error"), OVERLOAD),
    Row(503, error("ModelServingError"), OVERLOAD),
    GATEWAY,
    NONSENSE,
)
_ZHIPU = {
    AUTH: (401, "1000 1001 1002 1003 1004 1220"),
    QUOTA: (429, "1113 1304 1308 1309 1310"),
    RATE: (429, "1302 1303 1313"),
    OVERLOAD: (429, "1305 1312"),
    BAD: (400, "1210 1212 1213 1214 1215"),
    TOO_BIG: (400, "1261"),
    REFUSED: (400, "1301"),
}
ZHIPU = (
    *(Row(status, error(code), kind) for kind, (status, codes) in _ZHIPU.items() for code in codes.split()),
    *(Row(429, error(code), AUTH) for code in ("1110", "1111", "1112", "1121")),
    Row(400, error("1211"), AUTH),
    Row(500, error("1234"), OVERLOAD),
    Row(200, {"choices": [{"message": {"content": ""}, "finish_reason": "network_error"}]}, OVERLOAD, billed=True),
    GATEWAY,
    NONSENSE,
)
_WINDOW = {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "20"}
MOONSHOT = (
    Row(429, error(None, "rate_limit_reached_error", "please try again after 1 seconds"), RATE, 1.0),
    Row(429, error(None, "rate_limit_reached_error"), RATE, 20.0, _WINDOW),
    Row(429, error(None, "engine_overloaded_error"), OVERLOAD),
    Row(429, error(None, "exceeded_current_quota_error"), QUOTA),
    Row(403, error(None, "exceeded_current_quota_error"), QUOTA),
    Row(400, error(None, "content_filter"), REFUSED),
    Row(400, error(None, "invalid_request_error"), BAD),
    Row(401, error(None, "invalid_authentication_error"), AUTH),
    Row(401, error(None, "incorrect_api_key_error"), AUTH),
    Row(403, error(None, "permission_denied_error"), AUTH),
    Row(404, error(None, "resource_not_found_error"), AUTH),
    Row(500, error(None, "server_error"), OVERLOAD),
    GATEWAY,
    NONSENSE,
)


def flat(kind: str, code: Any) -> dict[str, Any]:
    """Mistral's form, and vLLM's older one."""
    return {"object": "error", "message": "no", "type": kind, "param": None, "code": code}


_BY_SIZE = {"x-ratelimitbysize-limit-minute": "500000", "x-ratelimitbysize-remaining-minute": "0", "ratelimitbysize-reset": "8"}
MISTRAL = (
    Row(429, flat("rate_limited", "1300"), RATE, 8.0, _BY_SIZE),
    Row(429, flat("rate_limited", None), RATE, 3.0, {"retry-after": "3"}),
    Row(429, flat("service_tier_capacity_exceeded", "3505"), OVERLOAD),
    Row(422, {"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required"}]}, BAD),
    Row(400, flat("invalid_model", "1500"), AUTH),
    Row(400, flat("invalid_request_error", None), BAD),
    Row(401, {"message": "Unauthorized", "request_id": "r"}, AUTH),
    *plain(flat("internal_server_error", None), {500: OVERLOAD, 502: OVERLOAD, 503: OVERLOAD, 504: OVERLOAD}),
    Row(200, {"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}, OVERLOAD, billed=True),
    GATEWAY,
    NONSENSE,
)
_OLLAMA = {400: BAD, 401: AUTH, 404: AUTH, 429: RATE, 500: OVERLOAD, 502: OVERLOAD, 503: OVERLOAD}
OLLAMA = (
    *plain({"error": "no"}, _OLLAMA),
    Row(503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, OVERLOAD),
    Row(200, {"error": "llama runner process has terminated"}, OVERLOAD),
    GATEWAY,
    NONSENSE,
)


def llama(code: int, kind: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no", "type": kind}}


LLAMA_CPP = (
    Row(400, llama(400, "invalid_request_error"), BAD),
    Row(400, llama(400, "exceed_context_size_error"), TOO_BIG),
    Row(401, llama(401, "authentication_error"), AUTH),
    Row(404, llama(404, "not_found_error"), AUTH),
    Row(500, llama(500, "server_error"), OVERLOAD),
    Row(501, llama(501, "not_supported_error"), BAD),
    Row(503, llama(503, "unavailable_error"), OVERLOAD),
    Row(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, OVERLOAD),
    GATEWAY,
    NONSENSE,
)
VLLM = (
    *(Row(400, shape, BAD) for shape in (error(400, "BadRequestError"), flat("BadRequestError", 400))),
    *(Row(401, shape, AUTH) for shape in ({"error": "Unauthorized"}, error(401, "Unauthorized"))),
    *(Row(404, shape, AUTH) for shape in (error(404, "NotFoundError"), flat("NotFoundError", 404))),
    *(Row(500, shape, OVERLOAD) for shape in (error(500, "InternalServerError"), flat("InternalServerError", 500))),
    Row(200, error(500, "InternalServerError"), OVERLOAD),
    Row(200, {"choices": [{"message": {"content": ""}, "finish_reason": "abort"}]}, OVERLOAD, billed=True),
    GATEWAY,
    NONSENSE,
)


def router(code: int, **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no", "metadata": metadata}}


_ROUTER = {400: BAD, 401: AUTH, 402: QUOTA, 408: NETWORK, 429: RATE, 502: OVERLOAD, 503: OVERLOAD}
_FREE = {"date": "Thu, 01 Jan 2026 00:00:00 GMT", "x-ratelimit-limit": "20", "x-ratelimit-remaining": "0"}
OPENROUTER = (
    *(Row(status, router(status), kind) for status, kind in _ROUTER.items()),
    Row(429, router(429), RATE, 30.0, {**_FREE, "x-ratelimit-reset": "1767225630000"}),
    Row(403, router(403, reasons=["violence"], flagged_input="x"), REFUSED),
    Row(403, router(403), AUTH),
    *(Row(200, router(status), kind) for status, kind in _ROUTER.items()),
    Row(200, {"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}, OVERLOAD, billed=True),
    GATEWAY,
    NONSENSE,
)

# Translators

DEEPL = (
    *plain({"message": "no", "detail": "why"}, {400: BAD, 404: AUTH, 413: TOO_BIG, 414: TOO_BIG, 429: RATE, 456: QUOTA}),
    *plain({"message": "no"}, {500: OVERLOAD, 503: OVERLOAD, 529: OVERLOAD}),
    Row(403, "", AUTH),
    Row(429, {"message": "Too many requests"}, RATE, 2.0, {"retry-after": "2"}),
    GATEWAY,
    NONSENSE,
)


def reasoned(code: int, reason: str, state: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": "no", "status": state, "errors": [{"domain": "global", "reason": reason}]}}


def detailed(reason: str, limit: str) -> dict[str, Any]:
    info = {"reason": reason, "metadata": {"quota_limit": limit}}
    return {"error": {"code": 429, "message": "no", "status": _EXHAUSTED, "details": [info]}}


GOOGLE_TRANSLATE = (
    *(Row(403, reasoned(403, reason), QUOTA) for reason in ("dailyLimitExceeded", "dailyLimitExceededUnreg", "quotaExceeded")),
    *(Row(403, reasoned(403, reason), RATE) for reason in ("userRateLimitExceeded", "rateLimitExceeded")),
    Row(429, reasoned(429, "", _EXHAUSTED), RATE),
    Row(429, detailed("RATE_LIMIT_EXCEEDED", "defaultPerMinutePerProject"), RATE),
    Row(429, detailed("RATE_LIMIT_EXCEEDED", "defaultPerDayPerProject"), QUOTA),
    Row(400, reasoned(400, "badRequest", "INVALID_ARGUMENT"), BAD),
    Row(400, reasoned(400, "API_KEY_INVALID", "INVALID_ARGUMENT"), AUTH),
    Row(400, reasoned(400, "keyInvalid"), AUTH),
    Row(400, reasoned(400, "textTooLong"), TOO_BIG),
    Row(413, reasoned(413, "uploadTooLarge"), TOO_BIG),
    Row(403, reasoned(403, "forbidden", "PERMISSION_DENIED"), AUTH),
    Row(401, reasoned(401, "authError", "UNAUTHENTICATED"), AUTH),
    Row(503, reasoned(503, "backendError"), OVERLOAD),
    Row(500, reasoned(500, "internalError", "INTERNAL"), OVERLOAD),
    GATEWAY,
    NONSENSE,
)
_AZURE = {400000: BAD, 400036: BAD, 400050: TOO_BIG, 400072: TOO_BIG, 400077: TOO_BIG, 401000: AUTH, 403000: AUTH, 403001: QUOTA}
_AZURE |= {408001: OVERLOAD, 408002: NETWORK, 429000: RATE, 429001: RATE, 429002: RATE, 500000: OVERLOAD, 503000: OVERLOAD}
AZURE_TRANSLATOR = (
    *(Row(code // 1000, {"error": {"code": code, "message": "no"}}, kind) for code, kind in _AZURE.items()),
    Row(401, "", AUTH),
    Row(403, {"error": {"code": "403", "message": "Out of call volume quota."}}, QUOTA),
    Row(429, {"error": {"code": 429001, "message": "no"}}, RATE, 9.0, {"retry-after": "9"}),
    GATEWAY,
    NONSENSE,
)
LIBRETRANSLATE = (
    Row(429, {"error": "Slowdown: 80 per 1 minute"}, RATE, 60.0),
    Row(429, {"error": "Slowdown: 400 per 1 hour"}, RATE, 600.0),
    Row(429, {"error": "Slowdown: 2000 per 1 day"}, QUOTA, 3600.0),
    Row(403, {"error": "Too many request limits violations"}, QUOTA, 600.0),
    Row(403, {"error": "Invalid API key"}, AUTH),
    Row(400, {"error": "Please contact the server operator to get an API key"}, AUTH),
    Row(400, {"error": "xx is not supported"}, BAD),
    Row(400, {"error": "Invalid request: request (5001) exceeds text limit (5000)"}, TOO_BIG),
    Row(400, {"error": "Invalid request: request (65) exceeds batch limit (64)"}, TOO_BIG),
    Row(500, {"error": "Cannot translate text: out of memory"}, OVERLOAD),
    Row(404, "", AUTH),
    GATEWAY,
    NONSENSE,
)
_BAIDU = {
    OVERLOAD: "52001 52002",
    AUTH: "52003 54001 58000 58002 58003 90107",
    BAD: "54000 58001",
    RATE: "54003",
    QUOTA: "54004",
    REFUSED: "20003",
}
BAIDU = (
    *(Row(200, {"error_code": code, "error_msg": "no"}, kind) for kind, codes in _BAIDU.items() for code in codes.split()),
    Row(200, {"error_code": "54005", "error_msg": "long query too often"}, RATE, 3.0),
    GATEWAY,
    NONSENSE,
)
_YOUDAO = {
    BAD: "101 102 104 105 106 107 109 113 114 116",
    TOO_BIG: "103",
    AUTH: "108 110 111 112 201 202 203 205 206",
    NETWORK: "207",
    OVERLOAD: "301 302 303",
    QUOTA: "401",
    RATE: "411 412",
}
YOUDAO = (
    *(Row(200, {"errorCode": code}, kind) for kind, codes in _YOUDAO.items() for code in codes.split()),
    GATEWAY,
    NONSENSE,
)


def alibaba(code: str) -> dict[str, Any]:
    return {"Code": code, "Message": "no", "RequestId": "R"}


_ALIBABA = {
    AUTH: "InvalidAccessKeyId.NotFound InvalidSecurityToken.Expired MissingSecurityToken InvalidTimeStamp.Expired "
    "SignatureDoesNotMatch IncompleteSignature InvalidApi.NotFound Forbidden.RAM NoPermission",
    RATE: "Throttling Throttling.User Throttling.Api",
    QUOTA: "InsufficientBalance Arrearage",
    NETWORK: "SignatureNonceUsed",
    BAD: "InvalidParameter MissingSourceText",
}
_SERVICE = {"1": OVERLOAD, "2": OVERLOAD, "3": BAD, "4": BAD, "5": BAD, "6": BAD, "7": MALFORMED, "8": TOO_BIG}
ALIBABA_MT = (
    *(Row(400, alibaba(code), kind) for kind, codes in _ALIBABA.items() for code in codes.split()),
    *(Row(200, alibaba(f"{before}{n}"), kind) for before in ("1000", "10") for n, kind in _SERVICE.items()),
    *(Row(200, alibaba(code), OVERLOAD) for code in ("19999", "199", "System.RequestTimeOut", "System.Error")),
    Row(200, alibaba("System.TextTooLong"), TOO_BIG),
    Row(200, alibaba("10010"), AUTH),
    Row(500, alibaba("InternalError"), OVERLOAD),
    Row(503, alibaba("ServiceUnavailable"), OVERLOAD),
    GATEWAY,
    NONSENSE,
)
_AMAZON = {
    RATE: "ThrottlingException Throttling TooManyRequestsException RequestLimitExceeded",
    QUOTA: "LimitExceededException",
    TOO_BIG: "TextSizeLimitExceededException",
    BAD: "UnsupportedLanguagePairException InvalidRequestException",
    AUTH: "AccessDeniedException ExpiredTokenException IncompleteSignatureException InvalidSignatureException OptInRequired "
    "MissingAuthenticationTokenException SubscriptionRequiredException UnrecognizedClientException",
}
_AMAZON_5XX = {500: ("InternalServerException", "InternalFailure"), 503: ("ServiceUnavailableException", "ServiceUnavailable")}
AMAZON_TRANSLATE = (
    *(Row(400, {"__type": code, "message": "no"}, kind) for kind, codes in _AMAZON.items() for code in codes.split()),
    *(Row(status, {"__type": code}, OVERLOAD) for status, codes in _AMAZON_5XX.items() for code in codes),
    Row(400, {"__type": "com.amazonaws.translate#ThrottlingException", "Message": "Rate exceeded"}, RATE),
    Row(400, "{}", RATE, None, {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/"}),
    GATEWAY,
    NONSENSE,
)


def apertium(code: int) -> dict[str, Any]:
    return {"status": "error", "code": code, "message": "no", "explanation": "why"}


APERTIUM = (
    Row(400, apertium(400), BAD),
    Row(404, apertium(404), AUTH),
    Row(408, apertium(408), NETWORK),
    Row(413, apertium(413), TOO_BIG),
    Row(500, apertium(500), OVERLOAD),
    Row(503, apertium(503), OVERLOAD),
    Row(200, {"responseStatus": 400, "responseDetails": "That pair is not installed", "responseData": None}, BAD),
    Row(200, {"responseStatus": 503, "responseDetails": "no", "responseData": None}, OVERLOAD),
    GATEWAY,
    NONSENSE,
)

TABLE: Mapping[str, tuple[Row, ...]] = {
    name.lower(): rows
    for name, rows in list(globals().items())
    if name.isupper() and isinstance(rows, tuple) and rows and isinstance(rows[0], Row)
}
"""By the name of the dialect."""

# Errors inside a stream, under status 200, after the model has said something


def _sse(*events: Any, end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {orjson.dumps(event).decode()}\n\n" for event in events) + end


_SAID = {"choices": [{"delta": {"content": "The Wi"}, "finish_reason": None}]}
_ENDED = {"choices": [{"delta": {}, "finish_reason": "error"}]}
_BLOCK = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "The Wi"}}
_PART = {"candidates": [{"content": {"parts": [{"text": "The Wi"}]}}]}
STREAMS: Mapping[str, tuple[tuple[str, FaultKind], ...]] = {
    "openai": (
        (_sse(_SAID, error("server_error", "server_error")), OVERLOAD),
        (_sse(_SAID, error("rate_limit_exceeded", "tokens")), RATE),
        (_sse(_SAID, error("insufficient_quota", "insufficient_quota")), QUOTA),
    ),
    "azure_openai": (
        (_sse({"choices": [], "prompt_filter_results": []}, _SAID, error("429")), RATE),
        (_sse(_SAID, error("content_filter")), REFUSED),
    ),
    "anthropic": (
        (_sse(_BLOCK, anthropic("overloaded_error"), end=""), OVERLOAD),
        (_sse(_BLOCK, anthropic("rate_limit_error"), end=""), RATE),
    ),
    "gemini": (
        (_sse(_PART, google(503, "UNAVAILABLE"), end=""), OVERLOAD),
        (_sse(_PART, google(429, _EXHAUSTED, passed(_MINUTE)), end=""), RATE),
    ),
    "deepseek": ((": keep-alive\n\n" + _sse(_SAID, error(None, "server_error")), OVERLOAD),),
    "dashscope": (
        (_sse(_SAID, error("limit_burst_rate", "limit_burst_rate")), BURST),
        (_sse(_SAID, error("data_inspection_failed")), REFUSED),
    ),
    "zhipu": ((_sse(_SAID, error("1305")), OVERLOAD), (_sse(_SAID, error("1301")), REFUSED)),
    "moonshot": ((_sse(_SAID, error(None, "engine_overloaded_error")), OVERLOAD),),
    "mistral": ((_sse(_SAID, flat("internal_server_error", None)), OVERLOAD),),
    "openrouter": (
        (": OPENROUTER PROCESSING\n\n" + _sse(_SAID, router(502) | _ENDED), OVERLOAD),
        (_sse(_SAID, router(429)), RATE),
    ),
    "vllm": ((_sse(_SAID, error(500, "InternalServerError")), OVERLOAD), (_sse(_SAID, flat("BadRequestError", 400)), BAD)),
    "llama_cpp": ((_sse(_SAID, llama(500, "server_error")), OVERLOAD),),
    "ollama": (('{"message": {"content": "The Wi"}, "done": false}\n{"error": "the runner died"}\n', OVERLOAD),),
}
