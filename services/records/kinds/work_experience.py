"""Work experience (工作经历, guide 5.6)."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Text
from services.records.code_tables import Term
from services.records.domain import Day, Kind, PastDay, RecordData, aged, not_before, past

MIN_AGE = 14


class WorkExperience(RecordData, title="工作经历"):
    """A period of employment; without an end it continues (至今).

    | refused | because |
    |---|---|
    | a start or an end after today | it is not experience yet; a present employment has no end |
    | an end before the start | one of the two is wrong |
    | a day before the year of birth | the day is wrong |
    | a start before the year in which the person became 14 | children are not employed |

    Employment at 14 or 15 is not refused: it is forbidden today but was not always. Only the year of birth is known
    here, so only certain errors are refused (decision 0038).
    """

    employer: Annotated[str, Text(200)] = Field(title="工作单位")
    start: Annotated[PastDay, aged(MIN_AGE)] = Field(title="开始时间")
    end: Annotated[Day, past("不能晚于今天，仍在职的请选“至今”"), not_before("start", "开始时间")] | None = Field(
        default=None, title="结束时间"
    )
    title: Annotated[str, Term("professional_title")] = Field(title="职称")
    position: Annotated[str, Text(100)] = Field(title="职务")
    field: Annotated[str, Text(100)] = Field(title="从事工作专业")


KIND = Kind(name="work_experience", data=WorkExperience, maintained_by="practitioner", attachment=False)
