"""Skill training certificates (技能培训证书, guide 5.5)."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Text
from services.records.code_tables import Term
from services.records.domain import Day, Kind, PastDay, RecordData, after


class SkillCertificate(RecordData, title="技能培训证书"):
    """A certificate of a trade skill. `issued_on` may follow `valid_to`, as in the guide's example."""

    name: Annotated[str, Text(100)] = Field(title="证书名称")
    trade: Annotated[str, Term("trade")] = Field(title="专业工种")
    level: Annotated[str, Term("skill_level")] = Field(title="级别")
    certificate_no: Annotated[str, Text(100)] = Field(title="证书编号")
    issued_on: PastDay = Field(title="发证日期")
    valid_from: Day = Field(title="有效期开始日期")
    valid_to: Annotated[Day, after("valid_from", "有效期开始日期")] = Field(title="有效期截止日期")
    issuing_authority: Annotated[str, Text(200)] = Field(title="发证机关")


KIND = Kind(name="skill_certificate", data=SkillCertificate, maintained_by="practitioner", attachment=True)
