"""Credit records (个人诚信记录), imported from the authorities."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Text
from services.records.code_tables import Term
from services.records.domain import Day, Kind, PastDay, RecordData, not_before


class Credit(RecordData, title="个人诚信记录"):
    """A commendation or a penalty, published until a given day."""

    nature: Annotated[str, Term("credit_nature")] = Field(title="诚信性质", json_schema_extra={"enum": ["good", "bad"]})
    subject: Annotated[str, Text(200)] = Field(title="事由")
    content: Annotated[str, Text(2000)] | None = Field(default=None, title="内容")
    authority: Annotated[str, Text(200)] = Field(title="认定部门")
    document_no: Annotated[str, Text(100)] | None = Field(default=None, title="决定文号")
    decided_on: PastDay = Field(title="决定日期")
    published_until: Annotated[Day, not_before("decided_on", "决定日期")] | None = Field(
        default=None, title="公布截止日期"
    )


KIND = Kind(name="credit", data=Credit, maintained_by="source", attachment=False)
