"""The layout of the signature sheet, for printing and for reading scans, and the text of its QR code."""

import base64
import hmac
from uuid import UUID

from kit.formats.sheets import Box, Layout

VERSION = "1"
"""Version of the layout. Sheets are uploaded months after printing: a new layout gets a new version beside this one."""
PREFIX = "QM"
ID_LENGTH = 26  # 16 bytes in base32, as the MAC has
MAC_BYTES = 16

MARKER_MM = 10
MARGIN_MM = 14
A4_WIDTH, A4_HEIGHT = 210, 297
_RIGHT = A4_WIDTH - MARGIN_MM - MARKER_MM
_BOTTOM = A4_HEIGHT - MARGIN_MM - MARKER_MM
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
    """The text of a sheet's QR code: layout version, sheet id, MAC; all in QR's alphanumeric set."""
    payload = PREFIX + VERSION + _base32(UUID(form_id).bytes)
    return payload + _mac(payload, key)


def sheet_id_of(text: str, key: bytes) -> str | None:
    """The sheet id in the text of a QR code; None if its MAC is not ours."""
    payload, mac = text[:-ID_LENGTH], text[-ID_LENGTH:]
    if not text.isascii() or not hmac.compare_digest(_mac(payload, key), mac):
        return None
    return str(UUID(bytes=base64.b32decode(payload[len(PREFIX + VERSION) :] + "======")))


def _mac(payload: str, key: bytes) -> str:
    return _base32(hmac.digest(key, f"signature form {payload}".encode(), "sha256")[:MAC_BYTES])


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=")
