"""Wiring of records: creates its objects from the settings. One module a process, with only its imports."""

from kit.runtime.process import Service
from services.records.settings import Settings

NAME = "records"
SERVICE = Service(NAME, Settings, __name__)
