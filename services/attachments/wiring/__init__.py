"""Wiring of attachments: creates its objects from the settings. One module a process, with only its imports."""

from kit.runtime.process import Service
from services.attachments.settings import Settings

NAME = "attachments"
SERVICE = Service(NAME, Settings, __name__)
