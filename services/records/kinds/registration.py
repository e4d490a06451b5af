"""Professional registrations (注册信息, guide 5.4), imported from the registration authority."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Text
from services.records.code_tables import Term
from services.records.domain import Day, Kind, PastDay, RecordData


class Registration(RecordData, title="注册信息"):
    """A registration that entitles a person to practise."""

    category: Annotated[str, Term("registration_category")] = Field(title="注册类别")
    certificate_no: Annotated[str, Text(100)] = Field(title="注册证书编号")
    seal_no: Annotated[str, Text(100)] | None = Field(default=None, title="执业印章号")
    specialities: list[Annotated[str, Text(100)]] = Field(default_factory=list, max_length=10, title="注册专业")
    valid_until: Day | None = Field(default=None, title="注册有效期")
    issuing_authority: Annotated[str, Text(200)] | None = Field(default=None, title="发证单位")
    issued_on: PastDay | None = Field(default=None, title="发证日期")
    employer: Annotated[str, Text(200)] | None = Field(default=None, title="所在企业名称")
    employer_code: Annotated[str, Text(32)] | None = Field(default=None, title="所在企业统一社会信用代码")
    status: Annotated[str, Term("registration_status")] | None = Field(default=None, title="证书状态")


KIND = Kind(name="registration", data=Registration, maintained_by="source", attachment=False)
