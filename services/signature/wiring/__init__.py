"""The one place where signature's concrete things meet. A module for each process: it imports only what it runs."""

from kit.runtime.process import Service
from services.signature.settings import Settings

NAME = "signature"
SERVICE = Service(NAME, Settings, __name__)
