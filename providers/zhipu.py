"""Zhipu (GLM), in OpenAI's dialect. Its limit is the number of calls at once; rates, debts and locked accounts are all HTTP 429.

Pure. Source: the error codes and the chat completion of Zhipu's open platform (2026). Codes 1305 and 1312 are the platform's
load, not the account's.
"""

from __future__ import annotations

from engine.core.faults import FaultKind
from engine.core.types import Chat, Stop
from providers.openai import OpenAI
from providers.profile import Enforced, Profile

_KINDS = {
    FaultKind.AUTH: "1000 1001 1002 1003 1004 1110 1111 1112 1121 1211 1220",
    FaultKind.QUOTA: "1113 1304 1308 1309 1310",  # debts, the day's calls, a package's window or end
    FaultKind.RATE: "1302 1303 1313",
    FaultKind.OVERLOAD: "1234 1305 1312",
    FaultKind.TOO_BIG: "1261",
    FaultKind.REFUSED: "1301",
    FaultKind.BAD: "1210 1212 1213 1214 1215",
}

PROFILE = Profile(
    homes=("https://open.bigmodel.cn/api/paas/v4", "https://api.z.ai/api/paas/v4"),
    key="env:ZHIPUAI_API_KEY",
    accepts=(Chat,),
    refuses=("presence_penalty", "frequency_penalty", "seed", "logit_bias"),
    hottest=1.0,
    greedy={"do_sample": False},
    stops=1,
    schema=Enforced.OBJECT,
    asks_usage=False,
    codes={code: kind for kind, codes in _KINDS.items() for code in codes.split()},
    finishes={"sensitive": Stop.REFUSED, "network_error": Stop.BROKEN},
)

PROVIDER = OpenAI(PROFILE)
