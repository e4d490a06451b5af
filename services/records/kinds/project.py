"""Projects that a person worked on (工程业绩, guide 5.6), imported from the project register."""

from typing import Annotated

from pydantic import Field

from kit.core.text import Text
from services.records.code_tables import Term
from services.records.domain import Kind, RecordData


class Project(RecordData, title="工程业绩"):
    """A person's part in one project."""

    # the register does not publish the format of the number, so any text is accepted
    project_no: Annotated[str, Text(32)] = Field(title="报建编号")
    project_name: Annotated[str, Text(200)] = Field(title="项目名称")
    contract_type: Annotated[str, Term("contract_type")] = Field(title="合同类型")
    position: Annotated[str, Text(100)] = Field(title="担任职务")
    speciality: Annotated[str, Text(100)] = Field(title="专业名称")


KIND = Kind(name="project", data=Project, maintained_by="source", attachment=False)
