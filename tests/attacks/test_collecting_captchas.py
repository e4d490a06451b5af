"""Collecting captchas is useless: no image is served twice."""

import asyncio

import httpx2


async def test_no_picture_is_served_twice(gateway: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(gateway.post("/api/identity/captchas") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["image"] for answer in answers}) == len(answers)
