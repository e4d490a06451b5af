"""The reader's tray as a page: which card is on it, and buttons for others."""

from collections.abc import Mapping
from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>读卡机（模拟）</title>
<style>
  body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }}
  button {{ font: inherit; display: block; margin: .5rem 0; padding: .4rem 1rem; }}
</style>
<h1>读卡机（模拟）</h1>
<p>代替窗口电脑上的读卡机：在这里放上证件，再到门户的“读卡登记”页面点击“读卡”。</p>
<p><strong>{state}</strong></p>
<form method="post" action="/tray">
{buttons}
</form>
</html>
"""


def tray_page(card: Mapping[str, Any] | None, titles: Mapping[str, str]) -> str:
    """Render the page; `titles` are those of the cards, by name."""
    state = f"读卡机上的证件：{card['name']}，{card['document_number']}" if card else "读卡机上没有证件。"
    choices = [(name, f"放上{title}") for name, title in titles.items()] + [("none", "取走证件")]
    buttons = "\n".join(f'<button name="card" value="{name}">{escape(title)}</button>' for name, title in choices)
    return _PAGE.format(state=escape(state), buttons=buttons)
