"""The printed sheet: where what stands (for the template and for the way back), and the text of its QR code."""

import base64
import hmac
from uuid import UUID

from kit.formats.sheets import Box, Layout

VERSION = "1"
"""Of the layout: old sheets come back for months, so another layout gets another version beside this one."""
PREFIX = "QM"
ID_LENGTH = 26  # 16 bytes in base32, like the code against forgery
MAC_BYTES = 16

MARKER_MM, MARGIN_MM = 10, 14
A4_WIDTH, A4_HEIGHT = 210, 297
_RIGHT, _BOTTOM = A4_WIDTH - MARGIN_MM - MARKER_MM, A4_HEIGHT - MARGIN_MM - MARKER_MM
LAYOUT = Layout(
    width=A4_WIDTH,
    height=A4_HEIGHT,
    markers={
        0: Box(MARGIN_MM, MARGIN_MM, MARKER_MM, MARKER_MM),
        1: Box(_RIGHT, MARGIN_MM, MARKER_MM, MARKER_MM),
        2: Box(_RIGHT, _BOTTOM, MARKER_MM, MARKER_MM),
        3: Box(MARGIN_MM, _BOTTOM, MARKER_MM, MARKER_MM),
    },
    cut=Box(35, 90, 140, 60),
)
FRAME = Box(20, 90, 170, 60)
QR = Box(156, 226, 34, 34)
PATTERNS = {  # of the ArUco dictionary 4x4_50
    0: ("111111", "101001", "110101", "111001", "111011", "111111"),
    1: ("111111", "111111", "100001", "101101", "101011", "111111"),
    2: ("111111", "111001", "111001", "111011", "100101", "111111"),
    3: ("111111", "101101", "101101", "110111", "110011", "111111"),
}


def code_text(form_id: str, key: bytes) -> str:
    """What the QR code of a form says: layout, form, a code that only we can make; all of it alphanumeric to QR."""
    said = PREFIX + VERSION + _base32(UUID(form_id).bytes)
    return said + _mac(said, key)


def form_of(text: str, key: bytes) -> str | None:
    """The id of the form whose code says this; None when we did not print it."""
    said, mac = text[:-ID_LENGTH], text[-ID_LENGTH:]
    if not text.isascii() or not hmac.compare_digest(_mac(said, key), mac):
        return None
    return str(UUID(bytes=base64.b32decode(said[len(PREFIX + VERSION) :] + "======")))


def _mac(said: str, key: bytes) -> str:
    return _base32(hmac.digest(key, f"signature form {said}".encode(), "sha256")[:MAC_BYTES])


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=")
