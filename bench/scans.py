"""Rows: scans: uploaded and checked a second, time until a verdict is visible, cost of the check."""

import os
from statistics import median

import psutil

from bench.decoding import EACH, HERE, cpu_ms, decode_and_encode
from bench.processes import cpu_seconds, measured
from bench.stack import Stack
from bench.table import Row
from kit.formats import images
from kit.formats.images import Images
from kit.sandbox.pool import Sandbox
from tests.support.scans import scan

FILES = 600
AT_ONCE = 8
SCANS_PER_SECOND = 30.0
PACED = 200
PACE = 5.0
P50 = 400.0
P99 = 1500.0
ROUNDS, DEARER = 5, 1.6


async def rows(stack: Stack) -> list[Row]:
    return [await _cost(), await _seen(), await _whole()]


async def _whole() -> Row:
    found = await measured("bench.uploading", what="whole", files=FILES, at_once=AT_ONCE)
    name = f"scans of {found['bytes'] / 1000:.0f} kB through the gateway, uploaded and judged"
    reached, required = f"{found['per_second']:.1f}/s", f"≥ {SCANS_PER_SECOND:.0f}/s"
    return Row(name, reached, "–", required, reached, found["per_second"] >= SCANS_PER_SECOND, {"ours": found})


async def _seen() -> Row:
    found = await measured("bench.uploading", what="paced", files=PACED, pace=PACE)
    reached = f"{found['p50_ms']:.0f} / {found['p99_ms']:.0f} ms"
    passed = found["p50_ms"] <= P50 and found["p99_ms"] <= P99
    name = f"upload → verdict seen by polling, {PACE:.0f}/s"
    return Row(name, reached, "–", f"{P50:.0f} / {P99:.0f} ms", reached, passed, {"ours": found})


async def _cost() -> Row:
    """Measure both in one sandbox process, by turns, and the check's whole cost with the transfer in and out."""
    jpeg = scan()
    ours = list[float]()
    bare = list[float]()
    async with Sandbox(first=images.prepare, readable=(HERE,)) as sandbox:
        for _ in range(ROUNDS):
            bare.append(await sandbox.run(cpu_ms, decode_and_encode, jpeg))
            ours.append(await sandbox.run(cpu_ms, images.scan, jpeg))
        process = psutil.Process(await sandbox.run(os.getpid))
        used = cpu_seconds(process)
        for _ in range(EACH):
            await Images(sandbox).scan(jpeg)
        whole = (cpu_seconds(process) - used) / EACH * 1000
    dearer = median(ours) / median(bare)
    texts = f"{median(ours):.1f} ms", f"{median(bare):.1f} ms", f"≤ {DEARER} ×", f"{dearer:.2f} ×"
    name = (
        f"the check of a scan, CPU ({whole:.1f} ms with the transfer to the sandbox; bare decode + re-encode beside it)"
    )
    return Row(name, *texts, dearer <= DEARER, {"ours": ours, "bare": bare, "whole": whole})
