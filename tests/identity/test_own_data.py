"""A practitioner's own data: visible to them, and to no other practitioner."""

from tests.support.identity_clients import WINDOW, LoginPage, Window, just_now
from tests.support.names import own_id
from tests.support.problems import problem

ME = f"{WINDOW}/me"


async def test_a_practitioner_sees_the_data_of_the_card(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    response = await session.call("GET", ME)
    seen, card = response.json(), citizen.card
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    shown = (
        "document_type", "document_number", "name", "sex", "ethnicity", "birth_date", "address", "authority",
        "valid_from", "valid_to", "long_term",
    )  # fmt: skip
    assert {name: seen[name] for name in shown} == {name: card[name] for name in shown}
    assert seen["practitioner_id"] == citizen.id
    assert just_now(seen["updated_at"])
    assert (await session.call("GET", f"{WINDOW}/{citizen.id}")).json() == seen


async def test_a_new_card_is_visible_at_once(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    await window.read_card(
        citizen, address="上海市静安区新址路2号", valid_to=None, long_term=True, name="欧阳·\U00020bb7"
    )
    seen = (await session.call("GET", ME)).json()
    assert (seen["address"], seen["valid_to"], seen["long_term"]) == ("上海市静安区新址路2号", None, True)
    assert seen["name"] == "欧阳·\U00020bb7"


async def test_nobody_sees_another_person(window: Window, login_page: LoginPage) -> None:
    citizen = await window.registered()
    neighbour = await login_page.logged_in(await window.enrolled())
    for path in (f"{WINDOW}/{citizen.id}", f"{WINDOW}/{citizen.id}/portrait", f"{WINDOW}/{own_id()}"):
        problem(await neighbour.call("GET", path), 404, "not_found", *citizen.secrets)
    problem(await window.clerk.call("GET", ME), 404, "not_found")
