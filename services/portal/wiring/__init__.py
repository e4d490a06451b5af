"""The one place where the portal's concrete things meet. A module for each process: it imports only what it runs."""

from kit.runtime.process import Service
from services.portal.settings import Settings

NAME = "portal"
SERVICE = Service(NAME, Settings, __name__)
