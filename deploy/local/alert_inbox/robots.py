"""The two robots as their makers document them: what they check, and their answers, which are 200 also for errors."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from deploy.alerts.channels import signature

A_MINUTE = 20
HOUR_MS = 3_600_000
WECOM_BYTES, DINGTALK_BYTES = 4096, 20_000

Answer = dict[str, int | str]
OK: Answer = {"errcode": 0, "errmsg": "ok"}


@dataclass
class Robot:
    """Counts the messages of the last minute. `broken`: every message is refused with this code."""

    broken: int = 0
    times: deque[float] = field(default_factory=deque)

    def too_many(self) -> bool:
        now = time.monotonic()
        while self.times and now - self.times[0] > 60:
            self.times.popleft()
        self.times.append(now)
        return len(self.times) > A_MINUTE


def wecom(robot: Robot, key: str, query: Mapping[str, str], text: str) -> Answer:
    """Check a message to a WeCom robot: its key, and the size of the text."""
    if robot.broken:
        return {"errcode": robot.broken, "errmsg": "broken on request"}
    if not compare_digest(query.get("key", ""), key):
        return {"errcode": 93000, "errmsg": "invalid webhook url"}
    if len(text.encode()) > WECOM_BYTES:
        return {"errcode": 40058, "errmsg": "markdown.content exceed max length 4096"}
    return {"errcode": 45009, "errmsg": "api freq out of limit"} if robot.too_many() else OK


def dingtalk(robot: Robot, token: str, secret: str, query: Mapping[str, str], text: str) -> Answer:
    """Check a message to a DingTalk robot: its token, the time within an hour, the signature."""
    if robot.broken:
        return {"errcode": robot.broken, "errmsg": "broken on request"}
    if not compare_digest(query.get("access_token", ""), token):
        return {"errcode": 300005, "errmsg": "token is not exist"}
    at = query.get("timestamp", "")
    if not at.isdecimal() or abs(time.time() * 1000 - int(at)) > HOUR_MS:
        return {"errcode": 310000, "errmsg": "invalid timestamp"}
    if not compare_digest(query.get("sign", ""), signature(secret, int(at))["sign"]):
        return {"errcode": 310000, "errmsg": "sign not match"}
    if len(text.encode()) > DINGTALK_BYTES:
        return {"errcode": 460101, "errmsg": "message too long"}
    return {"errcode": 660026, "errmsg": "send too fast"} if robot.too_many() else OK
