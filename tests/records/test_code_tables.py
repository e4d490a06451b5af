"""The code tables: they have the guide's terms and are consistent."""

import pytest
from pydantic import BaseModel, ValidationError

from services.records.code_tables import CODE_TABLES, Code, codes
from services.records.kinds import KINDS


def table(name: str) -> dict[str, Code]:
    return {each.code: each for each in codes(name)}


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("education_level", "博士后 研究生 博士 硕士 大学本科 专科毕业 相当高中毕业"),
        ("degree", "博士 硕士 学士 名誉博士 无学位 硕士学位 博士学位 学士学位 相当高中毕 相当高中毕业"),
        ("professional_title", "讲师 技术员 相当于技术员 相当于工程师 高级工程师 正高级工程师 无"),
        ("trade", "抹灰 抹灰工 镶贴工 油漆工 砌筑工 古建筑传统油工 其它"),
        ("skill_level", "初级 中级 高级 中级工 技师 高级技师 学徒工 特级技师 首席技师"),
        ("registration_category", "一级注册建筑师 二级注册建造师 注册土木工程师（岩土） 注册监理工程师 注册安全工程师"),
        ("registration_status", "正常 过期"),
        ("contract_type", "施工总包 施工分包 施工劳务 监理 工程总承包"),
        ("credit_nature", "good bad"),
    ],
)
def test_the_tables_have_the_terms_of_the_guide_and_of_the_field(name: str, terms: str) -> None:
    assert set(terms.split()) <= table(name).keys()


@pytest.mark.parametrize("name", CODE_TABLES)
def test_a_table_is_consistent(name: str) -> None:
    rows = codes(name)
    terms = [each.code for each in rows]
    assert len(terms) == len(set(terms))
    assert {each.parent for each in rows} | {each.equivalent_of for each in rows} <= {None, *terms}
    assert all(each.label and each.parent != each.code for each in rows)
    assert any(each.offered for each in rows)


@pytest.mark.parametrize("name", CODE_TABLES)
def test_a_code_of_a_standard_always_names_its_standard(name: str) -> None:
    assert all(bool(each.scheme) == bool(each.scheme_codes) for each in codes(name))


def test_the_value_of_a_coded_field_is_the_term_as_printed() -> None:
    printed = CODE_TABLES.keys() - {"credit_nature"}
    assert all(each.code == each.label for name in printed for each in codes(name))
    assert [(each.code, each.label) for each in codes("credit_nature")] == [("good", "良好"), ("bad", "不良")]


def test_terms_outside_the_standards_have_no_invented_code() -> None:
    local = [("education_level", "博士后"), ("professional_title", "正高级工程师"), ("trade", "抹灰")]
    assert [table(name)[term].scheme_codes for name, term in local] == [(), (), ()]


def test_an_ambiguous_term_names_every_possible_code() -> None:
    lecturer = table("professional_title")["讲师"]
    assert (lecturer.scheme, lecturer.scheme_codes) == ("GB/T 8561", ("013", "023", "033"))
    assert table("professional_title")["技术员"].scheme_codes == ("085",)


def test_a_term_of_practice_names_its_equivalent() -> None:
    assert table("professional_title")["相当于技术员"].equivalent_of == "技术员"
    assert table("skill_level")["中级"].equivalent_of == "中级工"


def test_plastering_is_a_child_of_decoration() -> None:
    trades = table("trade")
    assert {trades[term].parent for term in ("抹灰", "抹灰工", "镶贴工", "油漆工")} == {"装饰装修工"}
    assert trades["装饰装修工"].scheme_codes == ("190",)


def test_the_degree_list_offers_degrees_only_and_still_reads_the_old_values() -> None:
    offered = [each.code for each in codes("degree") if each.offered]
    assert offered == ["博士", "硕士", "学士", "名誉博士", "无学位"]


@pytest.mark.parametrize("name", ["nonsense", "../kinds/education", ""])
def test_an_unknown_table_is_no_file_access(name: str) -> None:
    with pytest.raises(KeyError):
        codes(name)


def test_every_table_is_used_by_a_field_and_every_coded_field_has_its_table() -> None:
    used = {field.code_table for kind in KINDS.values() for field in kind.fields()}
    assert used - {None} == CODE_TABLES.keys()


def test_a_code_cannot_be_changed_by_a_caller() -> None:
    code: BaseModel = codes("degree")[0]
    with pytest.raises(ValidationError, match="frozen"):
        code.code = "x"  # type: ignore[attr-defined]
