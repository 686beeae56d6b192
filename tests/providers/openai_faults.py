"""What servers that speak OpenAI's dialect really send when they do not answer, and what it means. A table, for the tests.

Shapes are those of the vendors' references and of answers that their users have reported; names, numbers and ids are made up.
Headers are lower-case, as the wire hands them over. A vendor whose words mean something else than OpenAI's has a dialect of its
own, which is named in its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.core.faults import FaultKind

RATE, BURST, OVERLOAD, QUOTA, TOO_BIG = (
    FaultKind.RATE,
    FaultKind.BURST,
    FaultKind.OVERLOAD,
    FaultKind.QUOTA,
    FaultKind.TOO_BIG,
)
NETWORK, MALFORMED, REFUSED, BAD, AUTH = (
    FaultKind.NETWORK,
    FaultKind.MALFORMED,
    FaultKind.REFUSED,
    FaultKind.BAD,
    FaultKind.AUTH,
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answer, and what has to be made of it."""

    vendor: str
    case: str
    status: int
    body: str
    kind: FaultKind
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    provider: str = "openai"
    """The dialect that reads it."""

    @property
    def name(self) -> str:
        return f"{self.vendor}: {self.case}"


def _openai(remaining: tuple[int, int], reset: tuple[str, str], **more: str) -> dict[str, str]:
    """OpenAI's headers, of requests and of tokens."""
    told = {"x-ratelimit-limit-requests": "500", "x-ratelimit-limit-tokens": "30000"}
    for name, left, seconds in zip(("requests", "tokens"), remaining, reset, strict=True):
        told |= {f"x-ratelimit-remaining-{name}": str(left), f"x-ratelimit-reset-{name}": seconds}
    return told | {name.replace("_", "-"): value for name, value in more.items()}


_UNKNOWN = {
    f"x-ratelimit-{tells}-{of}": "0" if tells == "reset" else "-1"
    for tells in ("limit", "remaining", "reset")
    for of in ("requests", "tokens")
}
"""What Azure says where it does not tell its limits."""

OPENAI = (
    Exchange(
        "OpenAI",
        "requests a minute",
        429,
        '{"error":{"message":"Rate limit reached for gpt-4o-mini in organization org-x on requests per min (RPM): Limit 500, '
        'Used 500, Requested 1. Please try again in 120ms.","type":"requests","param":null,"code":"rate_limit_exceeded"}}',
        RATE,
        1.0,
        _openai((0, 29_000), ("59s", "2s"), retry_after="1"),
    ),
    Exchange(
        "OpenAI",
        "requests a minute, in milliseconds",
        429,
        '{"error":{"message":"Rate limit reached.","type":"requests","param":null,"code":"rate_limit_exceeded"}}',
        RATE,
        0.12,
        _openai((0, 29_000), ("59s", "2s"), retry_after="1", retry_after_ms="120"),
    ),
    Exchange(
        "OpenAI",
        "tokens a minute, told by the reset alone",
        429,
        '{"error":{"message":"Rate limit reached.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}',
        RATE,
        59.2,
        _openai((499, 0), ("120ms", "59.2s")),
    ),
    Exchange(
        "OpenAI",
        "tokens a minute, told by the sentence alone",
        429,
        '{"error":{"message":"Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29500, Requested 1200. '
        'Please try again in 1.4s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}',
        RATE,
        1.4,
    ),
    Exchange(
        "OpenAI",
        "grown too fast",
        503,
        '{"error":{"message":"Slow Down","type":"server_error","param":null,"code":"slow_down"}}',
        BURST,
        15.0,
        {"retry-after": "15"},
    ),
    Exchange(
        "OpenAI",
        "no engine free",
        503,
        '{"error":{"message":"The engine is currently overloaded","type":"server_error","param":null,"code":"overloaded"}}',
        OVERLOAD,
    ),
    Exchange(
        "OpenAI",
        "a failure of its own, with limits that are not why",
        500,
        '{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}',
        OVERLOAD,
        None,
        _openai((0, 0), ("59s", "59s")),
    ),
    Exchange("OpenAI", "a gateway", 502, "<html><head><title>502 Bad Gateway</title></head></html>", OVERLOAD),
    Exchange(
        "OpenAI",
        "no credit",
        429,
        '{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,'
        '"code":"insufficient_quota"}}',
        QUOTA,
    ),
    Exchange(
        "OpenAI",
        "a spending limit",
        400,
        '{"error":{"message":"Billing hard limit has been reached","type":"billing_limit_user_error","param":null,'
        '"code":"billing_hard_limit_reached"}}',
        QUOTA,
    ),
    Exchange(
        "OpenAI",
        "more than a whole minute's tokens",
        429,
        '{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, '
        'Requested 30601. The input or output tokens must be reduced.","type":"tokens","param":null,'
        '"code":"rate_limit_exceeded"}}',
        TOO_BIG,
        None,
        _openai((499, 30_000), ("120ms", "0s")),
    ),
    Exchange(
        "OpenAI",
        "more than the context",
        400,
        '{"error":{"message":"This model\'s maximum context length is 8192 tokens","type":"invalid_request_error",'
        '"param":"messages","code":"context_length_exceeded"}}',
        TOO_BIG,
    ),
    Exchange("OpenAI", "too slow a client", 408, "", NETWORK),
    Exchange("OpenAI", "an answer that was cut short", 200, '{"id":"chatcmpl-1","object":"chat.completion","choi', MALFORMED),
    Exchange("OpenAI", "a page instead of an answer", 200, "<html><body>Log in to this network</body></html>", MALFORMED),
    Exchange(
        "OpenAI",
        "an answer without a choice",
        200,
        '{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-mini","choices":[]}',
        MALFORMED,
    ),
    Exchange(
        "OpenAI",
        "content that it declines",
        400,
        '{"error":{"message":"Your request was rejected","type":"invalid_request_error","param":null,'
        '"code":"content_policy_violation"}}',
        REFUSED,
    ),
    Exchange(
        "OpenAI",
        "a parameter that is none",
        400,
        '{"error":{"message":"Unrecognized request argument supplied: tempo","type":"invalid_request_error","param":null,'
        '"code":null}}',
        BAD,
    ),
    Exchange(
        "OpenAI",
        "a key that is none",
        401,
        '{"error":{"message":"Incorrect API key provided: sk-abc*****xyz.","type":"invalid_request_error","param":null,'
        '"code":"invalid_api_key"}}',
        AUTH,
    ),
    Exchange(
        "OpenAI",
        "a model that is none",
        404,
        '{"error":{"message":"The model `gpt-9` does not exist","type":"invalid_request_error","param":null,'
        '"code":"model_not_found"}}',
        AUTH,
    ),
    Exchange(
        "OpenAI",
        "a country that is not served",
        403,
        '{"error":{"message":"Country, region, or territory not supported","type":"request_forbidden","param":null,'
        '"code":"unsupported_country_region_territory"}}',
        AUTH,
    ),
)

AZURE = (
    Exchange(
        "Azure",
        "tokens a minute",
        429,
        '{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit. '
        'Please retry after 6 seconds."}}',
        RATE,
        5.75,
        {
            "retry-after": "6",
            "retry-after-ms": "5750",
            "x-ratelimit-remaining-requests": "18",
            "x-ratelimit-remaining-tokens": "0",
        },
    ),
    Exchange(
        "Azure",
        "limits that it does not tell",
        429,
        '{"error":{"code":"429","message":"Too many requests."}}',
        RATE,
        None,
        _UNKNOWN,
    ),
    Exchange(
        "Azure",
        "limits that it does not tell, and a sentence",
        429,
        '{"error":{"code":"429","message":"Your requests have exceeded the token rate limit. Please retry after 45 seconds."}}',
        RATE,
        45.0,
        _UNKNOWN,
    ),
    Exchange(
        "Azure",
        "a day",
        429,
        '{"error":{"code":"429","message":"Requests have exceeded token rate limit. Please retry after 86400 seconds."}}',
        RATE,
        86_400.0,
        {"retry-after": "86400"},
    ),
    Exchange(
        "Azure",
        "content that its filter stops",
        400,
        '{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,'
        '"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true}}}}}',
        REFUSED,
    ),
    Exchange(
        "Azure",
        "a key that is none",
        401,
        '{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}',
        AUTH,
    ),
    Exchange(
        "Azure",
        "a deployment that is none",
        404,
        '{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}',
        AUTH,
    ),
    Exchange(
        "Azure",
        "a shortage",
        503,
        '{"error":{"code":"503","message":"Service Unavailable"}}',
        OVERLOAD,
        10.0,
        {"retry-after": "10"},
    ),
)

CHINA = (
    Exchange(
        "DashScope",
        "requests a minute, or a second",
        429,
        '{"error":{"message":"You exceeded your current requests list.","type":"limit_requests","param":null,'
        '"code":"limit_requests"},"request_id":"7c7d5d2c"}',
        RATE,
    ),
    Exchange(
        "DashScope",
        "a key that is none",
        401,
        '{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,'
        '"code":"invalid_api_key"},"request_id":"7c7d5d2c"}',
        AUTH,
    ),
    Exchange(
        "DashScope",
        "a parameter out of its range",
        400,
        '{"error":{"code":"invalid_parameter_error","param":null,"message":"Range of max_tokens should be [1, 8192]",'
        '"type":"invalid_request_error"},"request_id":"7c7d5d2c"}',
        BAD,
    ),
    Exchange("DashScope", "a shortage", 503, '{"error":{"message":"Model serving error","code":"ModelServingError"}}', OVERLOAD),
    Exchange(
        "Zhipu", "requests at once", 429, '{"error":{"code":"1302","message":"您的账户已达到速率限制，请您控制请求频率"}}', RATE
    ),
    Exchange("Zhipu", "how often", 429, '{"error":{"code":"1303","message":"您当前使用该 API 的频率过高"}}', RATE),
    Exchange("Zhipu", "a key that is none", 401, '{"error":{"code":"1000","message":"身份验证失败"}}', AUTH),
    Exchange("Zhipu", "a parameter that is wrong", 400, '{"error":{"code":"1210","message":"API 调用参数有误"}}', BAD),
    Exchange("Zhipu", "a failure of its own", 500, '{"error":{"code":"500","message":"内部错误"}}', OVERLOAD),
    Exchange(
        "Moonshot",
        "requests a minute",
        429,
        '{"error":{"message":"Your account org-x request reached max request: 3, please try again after 1 seconds",'
        '"type":"rate_limit_reached_error"}}',
        RATE,
        1.0,
    ),
    Exchange(
        "Moonshot",
        "tokens a minute",
        429,
        '{"error":{"type":"rate_limit_reached_error","message":"Your account org-x request reached project TPM rate limit, '
        'current: 1410, limit: 100"}}',
        RATE,
    ),
    Exchange(
        "Moonshot",
        "a key that is none",
        401,
        '{"error":{"message":"Invalid Authentication","type":"invalid_authentication_error"}}',
        AUTH,
    ),
    Exchange(
        "Moonshot",
        "a model that is none",
        404,
        '{"error":{"message":"Not found the model kimi-9 or Permission denied","type":"resource_not_found_error"}}',
        AUTH,
    ),
    Exchange("Moonshot", "a failure of its own", 500, '{"error":{"message":"Internal error","type":"server_error"}}', OVERLOAD),
    Exchange(
        "DeepSeek",
        "calls at once",
        429,
        '{"error":{"message":"Rate limit reached","type":"rate_limit_error","param":null,"code":null}}',
        RATE,
    ),
    Exchange(
        "DeepSeek",
        "no balance",
        402,
        '{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}',
        QUOTA,
    ),
    Exchange(
        "DeepSeek",
        "a key that is none",
        401,
        '{"error":{"message":"Authentication Fails","type":"authentication_error","param":null,"code":"invalid_request_error"}}',
        AUTH,
    ),
    Exchange(
        "DeepSeek",
        "a parameter out of its range",
        422,
        '{"error":{"message":"Invalid max_tokens value","type":"invalid_request_error","param":null,'
        '"code":"invalid_request_error"}}',
        BAD,
    ),
    Exchange(
        "DeepSeek",
        "a crowd",
        503,
        '{"error":{"message":"Service is too busy","type":"service_unavailable_error","param":null,"code":null}}',
        OVERLOAD,
    ),
    Exchange("DeepSeek", "a queue that led nowhere", 200, "\n\n\n\n", MALFORMED),
)

OTHERS = (
    Exchange(
        "Mistral",
        "a second's requests",
        429,
        '{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300",'
        '"raw_status_code":429}',
        RATE,
    ),
    Exchange(
        "Mistral",
        "a minute's tokens",
        429,
        '{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}',
        RATE,
        23.0,
        {
            "x-ratelimitbysize-limit-minute": "500000",
            "x-ratelimitbysize-remaining-minute": "0",
            "ratelimitbysize-reset": "23",
        },
    ),
    Exchange(
        "Mistral",
        "a field that is wrong",
        422,
        '{"object":"error","message":{"detail":[{"type":"greater_than_equal","loc":["body","max_tokens"],"msg":"too small",'
        '"input":0}]},"type":"invalid_request_error","param":null,"code":null}',
        BAD,
    ),
    Exchange(
        "Mistral",
        "a field that is wrong, without any frame",
        422,
        '{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{}}]}',
        BAD,
    ),
    Exchange("Mistral", "a key that is none", 401, '{"message":"Unauthorized","request_id":"5d2c"}', AUTH),
    Exchange(
        "Mistral",
        "a shortage",
        503,
        '{"object":"error","message":"Service unavailable.","type":"internal_server_error","param":null,"code":"1000"}',
        OVERLOAD,
    ),
    Exchange(
        "OpenRouter",
        "a free model's minute",
        429,
        '{"error":{"message":"Rate limit exceeded: free-models-per-min. ","code":429,"metadata":{"headers":'
        '{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1767225660000"}}},"user_id":"user_x"}',
        RATE,
        60.0,
        {
            "x-ratelimit-limit": "20",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": "1767225660000",
            "date": "Thu, 01 Jan 2026 00:00:00 GMT",
        },
    ),
    Exchange(
        "OpenRouter",
        "a limit of the provider behind it",
        429,
        '{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"m is temporarily rate-limited upstream.",'
        '"provider_name":"P"}},"user_id":"user_x"}',
        RATE,
    ),
    Exchange(
        "OpenRouter",
        "no credit",
        402,
        '{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but '
        'can only afford 2666.","code":402,"metadata":{"provider_name":null}},"user_id":"user_x"}',
        QUOTA,
    ),
    Exchange(
        "OpenRouter",
        "content that is moderated",
        403,
        '{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged","metadata":'
        '{"reasons":["violence"],"flagged_input":"…","provider_name":"P","model_slug":"m"}}}',
        REFUSED,
    ),
    Exchange("OpenRouter", "a key that is disabled", 401, '{"error":{"code":401,"message":"User not found."}}', AUTH),
    Exchange("OpenRouter", "a request that took too long", 408, '{"error":{"code":408,"message":"Request timed out"}}', NETWORK),
    Exchange("OpenRouter", "no provider", 503, '{"error":{"code":503,"message":"No instances available"}}', OVERLOAD),
    Exchange(
        "OpenRouter",
        "a provider that failed once the headers were out",
        200,
        '{"id":"gen-1","error":{"code":502,"message":"Upstream error from P","metadata":{"provider_name":"P"}}}',
        OVERLOAD,
    ),
    Exchange(
        "OpenRouter",
        "a limit that was met once the headers were out",
        200,
        '{"error":{"message":"Provider returned error","code":429}}',
        RATE,
    ),
    Exchange(
        "vLLM",
        "more than the context, as it is told by a text alone",
        400,
        '{"error":{"message":"This model\'s maximum context length is 4096 tokens. However, you requested 5000 tokens",'
        '"type":"BadRequestError","param":null,"code":400}}',
        BAD,
    ),
    Exchange(
        "vLLM",
        "a parameter that is wrong, in the older form",
        400,
        '{"object":"error","message":"temperature must be non-negative","type":"BadRequestError","param":null,"code":400}',
        BAD,
    ),
    Exchange("vLLM", "a key that is none", 401, '{"error":"Unauthorized"}', AUTH),
    Exchange(
        "vLLM",
        "a model that is none",
        404,
        '{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","param":"model","code":404}}',
        AUTH,
    ),
    Exchange(
        "vLLM",
        "an engine that died",
        500,
        '{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}',
        OVERLOAD,
    ),
    Exchange(
        "llama.cpp",
        "more than the context",
        400,
        '{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error",'
        '"n_prompt_tokens":14429,"n_ctx":8192}}',
        TOO_BIG,
    ),
    Exchange(
        "llama.cpp",
        "a model that is still loading",
        503,
        '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
        OVERLOAD,
    ),
    Exchange(
        "llama.cpp",
        "a key that is none",
        401,
        '{"error":{"code":401,"message":"Invalid API Key","type":"authentication_error"}}',
        AUTH,
    ),
    Exchange(
        "llama.cpp",
        "something that it was not started for",
        501,
        '{"error":{"code":501,"message":"This server does not support embeddings.","type":"not_supported_error"}}',
        BAD,
    ),
    Exchange(
        "llama.cpp",
        "a failure of its own",
        500,
        '{"error":{"code":500,"message":"Compute error.","type":"server_error"}}',
        OVERLOAD,
    ),
)

EXCHANGES = (*OPENAI, *AZURE, *CHINA, *OTHERS)


@dataclass(frozen=True, slots=True)
class Broken:
    """A stream that breaks off with an error under status 200, after some text."""

    vendor: str
    event: str
    kind: FaultKind


STREAMS = (
    Broken("OpenAI", '{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}', OVERLOAD),
    Broken("OpenAI", '{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}', QUOTA),
    Broken(
        "OpenRouter",
        '{"id":"gen-1","error":{"code":502,"message":"Provider disconnected"},"choices":[{"index":0,"delta":{"content":""},'
        '"finish_reason":"error"}]}',
        OVERLOAD,
    ),
    Broken("OpenRouter", '{"error":{"code":429,"message":"Provider returned error"}}', RATE),
    Broken("vLLM", '{"error":{"message":"died","type":"InternalServerError","param":null,"code":500}}', OVERLOAD),
    Broken("any", '{"id":"chatcmpl-1","choices":[{"ind', MALFORMED),
)
