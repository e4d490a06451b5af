"""Wiring of notify: creates its objects from the settings. One module a process, with only its imports."""

from kit.runtime.process import Service
from services.notify.settings import Settings

NAME = "notify"
SERVICE = Service(NAME, Settings, __name__)
