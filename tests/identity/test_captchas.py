"""The captcha: an image or audio, can be enlarged, used up by one attempt."""

import base64
import wave
from collections import Counter
from io import BytesIO
from typing import cast

import httpx2
from PIL import Image
from redis.asyncio import Redis

from services.identity.captcha.media import LETTERS, VOICES, draw, new_answer, speak
from tests.support.identity_clients import Citizen, LoginPage, Window, at_once, just_now
from tests.support.names import own_id
from tests.support.problems import problem
from tests.support.stack import RunningStack

CAPTCHA_WRONG = "请填写正确的验证码，验证码不区分大小写"


async def test_a_captcha_is_an_image_that_can_be_enlarged(gateway: httpx2.AsyncClient) -> None:
    sizes = []
    for scale in (1, 2):
        response = await gateway.post("/api/identity/captchas", params={"scale": scale})
        captcha = response.json()
        kind, _, data = captcha["image"].partition(",")
        assert (response.status_code, kind) == (201, "data:image/png;base64")
        assert just_now(captcha["expires_at"], within=301)
        with Image.open(BytesIO(base64.b64decode(data))) as picture:
            assert picture.format == "PNG"
            sizes.append(picture.size)
    assert sizes[1] == (2 * sizes[0][0], 2 * sizes[0][1])
    for scale_text in ("0", "3", "big"):
        problem(await gateway.post("/api/identity/captchas", params={"scale": scale_text}), 422, "invalid_fields")


async def test_a_captcha_may_be_answered_in_small_letters(window: Window, login_page: LoginPage) -> None:
    solved = await login_page.solved()
    small = {**solved, "captcha_answer": solved["captcha_answer"].lower()}
    assert (await login_page.ask(await window.enrolled(), **small)).status_code == 202


async def test_a_captcha_is_used_up_by_one_attempt_right_or_wrong(window: Window, login_page: LoginPage) -> None:
    citizen, solved = Citizen(), await login_page.solved()
    problem(await login_page.ask(citizen, **solved), 403, "not_enrolled")
    assert problem(await login_page.ask(citizen, **solved), 422, "captcha_wrong")["detail"] == CAPTCHA_WRONG
    guessed = await login_page.solved()
    wrong = {**guessed, "captcha_answer": "0000"}
    assert problem(await login_page.ask(citizen, **wrong), 422, "captcha_wrong")["detail"] == CAPTCHA_WRONG
    problem(await login_page.ask(citizen, **guessed), 422, "captcha_wrong", guessed["captcha_answer"])


async def test_of_a_hundred_uses_of_one_captcha_one_counts(login_page: LoginPage) -> None:
    solved = await login_page.solved()
    answers = await at_once(*(login_page.ask(Citizen(), **solved) for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [403, *[422] * 99]


async def test_of_twenty_right_answers_to_one_captcha_one_counts(window: Window, login_page: LoginPage) -> None:
    citizen, solved = await window.enrolled(), await login_page.solved()
    answers = await at_once(*(login_page.ask(citizen, **solved) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 422: 19}


def seconds(sound: bytes) -> float:
    with wave.open(BytesIO(sound)) as opened:
        assert (opened.getnchannels(), opened.getframerate(), opened.getsampwidth()) == (1, 8000, 1)
        return float(opened.getnframes() / opened.getframerate())


async def test_the_audio_of_a_captcha_is_served_until_it_is_used_up(
    gateway: httpx2.AsyncClient, login_page: LoginPage, redis: "Redis"
) -> None:
    captcha = await login_page.captcha()
    answer = str(await redis.get(f"identity:captcha:{captcha['captcha_id']}"))
    first, second = [await gateway.get(captcha["audio_url"]) for _ in range(2)]
    assert (first.status_code, first.headers["Content-Type"]) == (200, "audio/wav")
    assert first.headers["Cache-Control"] == "no-store"
    assert first.content == second.content
    assert 4 < seconds(first.content) < 30
    spent = await login_page.ask(Citizen(), captcha_id=captcha["captcha_id"], captcha_answer=answer)
    problem(spent, 403, "not_enrolled")
    problem(await gateway.get(captcha["audio_url"]), 404, "not_found", answer)


async def test_an_unknown_captcha_has_no_audio(gateway: httpx2.AsyncClient) -> None:
    problem(await gateway.get(f"/api/identity/captchas/{own_id()}/audio"), 404, "not_found")
    problem(await gateway.get("/api/identity/captchas/1/audio"), 422, "invalid_fields")


def test_every_letter_has_distinct_recordings() -> None:
    voices = {letter: [path.read_bytes() for path in (VOICES / letter).glob("*.wav")] for letter in LETTERS}
    assert {path.name for path in VOICES.iterdir()} == set(LETTERS)
    assert len({sound for sounds in voices.values() for sound in sounds}) == len(LETTERS)
    assert all(0.15 < seconds(sound) < 1.5 for sounds in voices.values() for sound in sounds)


def luminance(colour: tuple[int, ...]) -> float:
    """The relative luminance of a colour in sRGB, by WCAG 2."""
    linear = [c / 12.92 if (c := each / 255) <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for each in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_letters_have_enough_contrast() -> None:
    """By WCAG's contrast for text, in each of fifty: the most frequent dark tone against the most frequent tone."""
    for _ in range(50):
        with Image.open(BytesIO(draw(new_answer(), 2))) as picture:
            tones = Counter(picture.convert("RGB").get_flattened_data()).most_common(2)
        ground, ink = (luminance(cast(tuple[int, ...], tone)) for tone, _ in tones)
        assert (ground + 0.05) / (ink + 0.05) >= 4.5


def test_no_two_captchas_have_the_same_image_or_audio() -> None:
    assert new_answer() != new_answer()
    assert set(new_answer()) <= set(LETTERS)
    assert len({draw(answer, 1) for answer in ("AAAA", "AAAA", "WWWW")}) == 3
    assert len({speak(answer) for answer in ("A3A3", "A3A3", "W7W7")}) == 3


async def test_concurrent_audio_requests_are_queued_and_not_mixed_up(
    gateway: httpx2.AsyncClient, login_page: LoginPage
) -> None:
    captchas = [await login_page.captcha() for _ in range(5)]
    answers = await at_once(*(gateway.get(captcha["audio_url"]) for captcha in captchas))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.content for answer in answers}) == 5


async def test_outcomes_of_captchas_are_counted(
    stack: RunningStack, gateway: httpx2.AsyncClient, login_page: LoginPage
) -> None:
    async def counts() -> dict[str, float]:
        async with stack.http(seconds=5) as client:
            text = (await client.get(f"{stack.facts['services']['identity']['internal']}/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith("captchas_total{")]
        return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}

    before = await counts()
    captcha = await login_page.captcha()
    await gateway.get(captcha["audio_url"])
    for answer in ("0000", "0000"):
        await login_page.ask(Citizen(), captcha_id=captcha["captcha_id"], captcha_answer=answer)
    await login_page.ask(Citizen())
    after = await counts()
    more = {name: after[name] - before.get(name, 0) for name in after}
    assert more.pop("made") >= 2, "more if the probe of the log-in page came in between"
    assert more == {"audio": 1, "wrong": 1, "expired": 1, "right": 1}
