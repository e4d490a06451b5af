"""The one place where identity's concrete things meet. A module for each process: it imports only what it runs."""

from kit.runtime.process import Service
from services.identity.settings import Settings

NAME = "identity"
SERVICE = Service(NAME, Settings, __name__)
