"""The one place where notify's concrete things meet. A module for each process: it imports only what it runs."""

from kit.runtime.process import Service
from services.notify.settings import Settings

NAME = "notify"
SERVICE = Service(NAME, Settings, __name__)
