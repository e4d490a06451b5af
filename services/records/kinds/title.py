"""Professional titles (职称, guide 5.3)."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Text
from services.records.code_tables import Term
from services.records.domain import Kind, PastDay, RecordData


class Title(RecordData, title="职称"):
    """A professional title awarded by a review committee."""

    title: Annotated[str, Term("professional_title")] = Field(title="职称")
    major: Annotated[str, Text(100)] = Field(title="专业")
    committee: Annotated[str, Text(200)] = Field(title="职称评审委员会全称")
    approved_on: PastDay = Field(title="通过(批准)日期")
    review_no: Annotated[str, Text(100)] = Field(title="评审编号")
    certificate_no: Annotated[str, Text(100)] = Field(title="证书编号")
    issuing_authority: Annotated[str, Text(200)] = Field(title="制(发)证机构")
    seal_unit: Annotated[str, Text(200)] = Field(title="钢印单位全称")


KIND = Kind(name="title", data=Title, maintained_by="practitioner", attachment=True)
