"""Degree certificates (学位证书, guide 5.2.3)."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Name, Text
from services.records.code_tables import Term
from services.records.domain import Kind, PastDay, RecordData


class Degree(RecordData, title="学位证书"):
    """A certificate of an academic degree."""

    school: Annotated[str, Text(200)] = Field(title="学校名称")
    degree: Annotated[str, Term("degree")] = Field(title="学位")
    degree_name: Annotated[str, Text(100)] = Field(title="学位名称")
    major: Annotated[str, Text(100)] = Field(title="所学专业")
    committee_chair: Annotated[str, Name()] = Field(title="学位评定委员会主席")
    certificate_no: Annotated[str, Text(100)] = Field(title="证书编号")
    issued_on: PastDay = Field(title="发证日期")


KIND = Kind(name="degree", data=Degree, maintained_by="practitioner", attachment=True)
