"""Renders the signature sheet 上海市建设工程企业从业人员签名信息采集表 (guide §5.7.1) as PDF."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from kit.core.clock import shanghai_date
from kit.formats.pdf import FontSettings, Printer, qr_code
from services.signature.sheets.layout import FRAME, LAYOUT, PATTERNS, QR, code_text

TEMPLATE = Path(__file__).with_name("sheet.typ")
HEADING = ["上海市建设工程企业从业人员", "签名信息采集表"]
INSTRUCTIONS = [
    "请在以上签名框内，亲笔填写本人常用手写签名，签字文字要清晰，不要超出框线，不要涂改。",
    "请使用黑色或蓝色签字笔。签好后将整张采集表扫描或拍照成 JPG 图片，四角的定位标记和二维码不能缺损，文件不超过 5MB。",
    "请登录本系统，在“个人签名信息”中上传图片，上传后点击“查看”核对签名。",
    "本表仅限本人使用；姓名或证件号变更后、超过有效期后，请重新打印。",
]


class Printing:
    """Renders sheets; `key` authenticates their QR codes."""

    def __init__(self, fonts: FontSettings, key: bytes) -> None:
        self._printer = Printer(TEMPLATE, fonts)
        self._key = key
        self.ready = self._printer.ready
        self.missing = self._printer.missing

    async def pdf(self, form_id: str, name: str, number: str, printed: datetime, expires: datetime) -> bytes:
        """One sheet as PDF, A4."""
        return await self._printer.pdf(self.page(form_id, name, number, printed, expires), printed)

    def page(self, form_id: str, name: str, number: str, printed: datetime, expires: datetime) -> dict[str, JsonValue]:
        """The data of the template."""
        return {
            "title": "".join(HEADING), "heading": [*HEADING], "instructions": [*INSTRUCTIONS], "sheet": _sheet(),
            "name": name, "number": number, "form_id": form_id, "qr": qr_code(code_text(form_id, self._key)),
            "printed": str(shanghai_date(printed)), "expires": str(shanghai_date(expires)),
        }  # fmt: skip


def _sheet() -> dict[str, JsonValue]:
    markers: list[JsonValue] = [{**asdict(LAYOUT.markers[name]), "pattern": [*rows]} for name, rows in PATTERNS.items()]
    boxes: dict[str, JsonValue] = {"frame": asdict(FRAME), "cut": asdict(LAYOUT.cut), "qr": asdict(QR)}
    return {"width": LAYOUT.width, "height": LAYOUT.height, "markers": markers, **boxes}
