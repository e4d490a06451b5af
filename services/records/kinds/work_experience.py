"""Work experience (工作经历, guide 5.6)."""

from typing import Annotated

from pydantic import Field

from kit.text import Text
from services.records.code_tables import Term
from services.records.domain import Day, Kind, RecordData, not_before


class WorkExperience(RecordData, title="工作经历"):
    """A time of employment; without an end it lasts until today (至今)."""

    employer: Annotated[str, Text(200)] = Field(title="工作单位")
    start: Day = Field(title="开始时间")
    end: Annotated[Day, not_before("start", "开始时间")] | None = Field(default=None, title="结束时间")
    title: Annotated[str, Term("professional_title")] = Field(title="职称")
    position: Annotated[str, Text(100)] = Field(title="职务")
    field: Annotated[str, Text(100)] = Field(title="从事工作专业")


KIND = Kind(name="work_experience", data=WorkExperience, maintained_by="practitioner", attachment=False)
