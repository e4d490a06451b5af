"""Delivery receipts in the carriers' formats; separate from the SDKs, which the api process does not load."""

from typing import Literal

from pydantic import BaseModel

from services.notify.domain import Report


class AliyunReceipt(BaseModel):
    """One delivery receipt in Aliyun's format."""

    success: bool
    err_code: str | None = None
    biz_id: str
    out_id: str | None = None

    def report(self) -> Report:
        """The receipt in our format."""
        return Report(self.biz_id, self.out_id or "", self.success, self.err_code or "")


ALIYUN_ANSWER: dict[str, int | str] = {"code": 0, "msg": "接收成功"}


class TencentReceipt(BaseModel):
    """One delivery receipt in Tencent's format; `ext` is the SessionContext, if the account returns it."""

    report_status: Literal["SUCCESS", "FAIL"]
    errmsg: str | None = None
    sid: str
    ext: str | None = None

    def report(self) -> Report:
        """The receipt in our format."""
        return Report(self.sid, self.ext or "", self.report_status == "SUCCESS", self.errmsg or "")


TENCENT_ANSWER: dict[str, int | str] = {"result": 0, "errmsg": "OK"}
