"""Wiring of signature: creates its objects from the settings. One module a process, with only its imports."""

from kit.runtime.process import Service
from services.signature.settings import Settings

NAME = "signature"
SERVICE = Service(NAME, Settings, __name__)
