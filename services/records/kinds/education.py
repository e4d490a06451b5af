"""Education certificates (学历证书, guide 5.2)."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Name, Text
from services.records.code_tables import Term
from services.records.domain import Day, Kind, PastDay, RecordData, not_before


class Education(RecordData, title="学历证书"):
    """A certificate of completed education. `issued_on` may precede `end`: many are dated some days before it."""

    school: Annotated[str, Text(200)] = Field(title="学校名称")
    level: Annotated[str, Term("education_level")] = Field(title="学历")
    length: Annotated[str, Text(50)] = Field(title="学制")
    major: Annotated[str, Text(100)] = Field(title="所学专业")
    principal: Annotated[str, Name()] = Field(title="校(院)长")
    start: PastDay = Field(title="开始时间")
    end: Annotated[Day, not_before("start", "开始时间")] = Field(title="结束时间")
    certificate_no: Annotated[str, Text(100)] = Field(title="证书编号")
    issued_on: Annotated[PastDay, not_before("start", "开始时间")] = Field(title="发证日期")
    registration_no: Annotated[str, Text(100)] | None = Field(default=None, title="电子注册号")


KIND = Kind(name="education", data=Education, maintained_by="practitioner", attachment=True)
