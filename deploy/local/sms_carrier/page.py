"""The inbox as a page, with the texts that phones would show."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

from deploy.local.sms_carrier.behaviour import MODES, RECEIPTS, Behaviour
from deploy.local.sms_carrier.inbox import SHANGHAI, Message

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
  form {{ display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; margin: .6rem 0; }}
  [aria-pressed=true] {{ font-weight: bold; outline: 2px solid; }}
  td:first-child, td:nth-child(2) {{ white-space: nowrap; }}
</style>
<h1>短信收件箱</h1>
<p>这是本机的模拟运营商：短信没有发到任何手机。每 3 秒自动刷新，最新的在最上面。</p>
{content}
<h2>运营商状态</h2>
{switches}
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


_SWITCH = """<form method="post" action="/behaviour">
<strong>{name}</strong> {label}
<input type="hidden" name="provider" value="{name}"><input type="hidden" name="{other}" value="{kept}">
{buttons}
</form>"""


def inbox_page(messages: list[Message], behaviours: Mapping[str, Behaviour]) -> str:
    """Render the page for these messages, in their order, with a switch for each carrier."""
    switches = "\n".join(_switch(name, behaviour) for name, behaviour in behaviours.items())
    if not messages:
        return _PAGE.format(content="<p>还没有短信。</p>", switches=switches)
    return _PAGE.format(content=_TABLE.format(rows="\n".join(_row(message) for message in messages)), switches=switches)


def _row(message: Message) -> str:
    at = datetime.fromisoformat(message.at).astimezone(SHANGHAI).strftime("%m-%d %H:%M:%S")
    cells = (at, message.phone, message.text, message.provider)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _switch(name: str, behaviour: Behaviour) -> str:
    """Buttons in place of select lists, because the page reloads every three seconds."""
    modes = _form(name, "行为", "mode", MODES, behaviour.mode, ("receipts", behaviour.receipts))
    return modes + _form(name, "回执", "receipts", RECEIPTS, behaviour.receipts, ("mode", behaviour.mode))


def _form(name: str, label: str, field: str, choices: Sequence[str], chosen: str, kept: tuple[str, str]) -> str:
    buttons = " ".join(
        f'<button name="{field}" value="{choice}" aria-pressed="{str(choice == chosen).lower()}">{choice}</button>'
        for choice in choices
    )
    return _SWITCH.format(name=escape(name), label=label, other=kept[0], kept=kept[1], buttons=buttons)
