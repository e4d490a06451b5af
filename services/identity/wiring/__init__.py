"""Wiring of identity: creates its objects from the settings. One module per process: each imports only what it runs."""

from kit.runtime.process import Service
from services.identity.settings import Settings

NAME = "identity"
SERVICE = Service(NAME, Settings, __name__)
