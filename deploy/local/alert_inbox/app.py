"""The HTTP app: the robots' and the heartbeat's addresses, the inbox for people and tests, and how robots fail."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deploy.local.alert_inbox import robots
from deploy.local.alert_inbox.robots import OK, Answer, Robot

KEPT = 1000
_PAGE = """<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>告警收件箱</title>
<style>
  body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
  pre {{ white-space: pre-wrap; border: 1px solid #ccc; padding: .6rem 1rem; margin: .2rem 0 1rem; font: inherit; }}
</style>
<h1>告警收件箱</h1>
<p>这是本机模拟的企业微信、钉钉机器人和邮箱：没有发给任何人。最新的在最上面。最近一次心跳：{heartbeat}。</p>
{notices}
</html>
"""


@dataclass(frozen=True)
class Notice:
    """One message that arrived; `to`: wecom, dingtalk or mail. `urgent`: it notifies everybody in the group."""

    at: str
    to: str
    title: str
    text: str
    urgent: bool = False


class Inbox:
    """What arrived since the start, newest last."""

    def __init__(self, wecom_key: str, dingtalk_token: str, dingtalk_secret: str) -> None:
        self._secrets = (wecom_key, dingtalk_token, dingtalk_secret)
        self.robots = {"wecom": Robot(), "dingtalk": Robot()}
        self.notices: deque[Notice] = deque(maxlen=KEPT)
        self.heartbeats: deque[float] = deque(maxlen=KEPT)

    def wecom(self, query: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        key, *_ = self._secrets
        text = str(body["markdown"]["content"])
        answer = robots.wecom(self.robots["wecom"], key, query, text)
        if answer == OK:
            self._keep("wecom", text.partition("\n")[0].strip("# "), text)
        return answer

    def dingtalk(self, query: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        _, token, secret = self._secrets
        markdown = body["markdown"]
        answer = robots.dingtalk(self.robots["dingtalk"], token, secret, query, markdown["text"])
        if answer == OK:
            self._keep("dingtalk", markdown["title"], markdown["text"], bool(body["at"]["isAtAll"]))
        return answer

    def mail(self, mail: EmailMessage) -> None:
        self._keep("mail", str(mail["Subject"]), str(mail.get_content()))

    def _keep(self, to: str, title: str, text: str, urgent: bool = False) -> None:
        self.notices.append(Notice(datetime.now(UTC).isoformat(), to, title, text, urgent))


def create_app(inbox: Inbox) -> Starlette:
    async def wecom(request: Request) -> Response:
        return JSONResponse(inbox.wecom(request.query_params, await request.json()))

    async def dingtalk(request: Request) -> Response:
        return JSONResponse(inbox.dingtalk(request.query_params, await request.json()))

    async def heartbeat(_request: Request) -> Response:
        inbox.heartbeats.append(time.time())
        return Response("OK")

    async def arrived(_request: Request) -> Response:
        return JSONResponse({"notices": [asdict(each) for each in inbox.notices], "heartbeats": list(inbox.heartbeats)})

    async def behaviour(request: Request) -> Response:
        """Take how each robot answers, as JSON: `{"wecom": 45009}`; 0: it works."""
        for name, code in (await request.json()).items():
            inbox.robots[name].broken = int(code)
        return JSONResponse({name: robot.broken for name, robot in inbox.robots.items()})

    async def page(_request: Request) -> Response:
        return HTMLResponse(_page(inbox))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/inbox.json", arrived),
            Route("/behaviour", behaviour, methods=["POST"]),
            Route("/cgi-bin/webhook/send", wecom, methods=["POST"]),
            Route("/robot/send", dingtalk, methods=["POST"]),
            Route("/heartbeat", heartbeat, methods=["GET", "POST"]),
        ]
    )


def _page(inbox: Inbox) -> str:
    newest = list(inbox.notices)[-100:][::-1]
    shown = "\n".join(f"<p>{each.at[11:19]} UTC · {each.to}</p><pre>{escape(each.text)}</pre>" for each in newest)
    return _PAGE.format(notices=shown or "<p>还没有告警。</p>", heartbeat=_age(inbox.heartbeats))


def _age(heartbeats: deque[float]) -> str:
    return f"{time.time() - heartbeats[-1]:.0f} 秒前" if heartbeats else "还没有"
