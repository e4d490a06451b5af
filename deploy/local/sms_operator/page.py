"""The inbox as a page: what a developer's phones would show."""

from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from deploy.local.sms_operator.inbox import Message

_SHANGHAI = ZoneInfo("Asia/Shanghai")

_PAGE = """<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="3">
<title>短信收件箱</title>
<style>
  body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
  table {{ border-collapse: collapse; width: 100%; }}
  th, td {{ text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #ccc; vertical-align: top; }}
  td:first-child, td:nth-child(2) {{ white-space: nowrap; }}
</style>
<h1>短信收件箱</h1>
<p>这是本机的模拟运营商：短信没有发到任何手机。每 3 秒自动刷新，最新的在最上面。</p>
{content}
</html>
"""

_TABLE = """<table>
<thead>
<tr><th scope="col">时间</th><th scope="col">手机号</th><th scope="col">内容</th><th scope="col">运营商</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>"""


def inbox_page(messages: list[Message]) -> str:
    """The page for these messages, in their order."""
    if not messages:
        return _PAGE.format(content="<p>还没有短信。</p>")
    return _PAGE.format(content=_TABLE.format(rows="\n".join(_row(message) for message in messages)))


def _row(message: Message) -> str:
    at = datetime.fromisoformat(message.at).astimezone(_SHANGHAI).strftime("%m-%d %H:%M:%S")
    cells = (at, message.phone, message.text, message.provider)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
