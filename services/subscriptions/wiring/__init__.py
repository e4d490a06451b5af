"""Wiring of subscriptions: creates its objects from the settings. One module a process, with only its imports."""

from kit.runtime.process import Service
from services.subscriptions.settings import Settings

NAME = "subscriptions"
SERVICE = Service(NAME, Settings, __name__)
