"""Chooses the portal's implementations and puts them together. A module for each process imports only what it runs."""

from kit.runtime.process import Service
from services.portal.settings import Settings

NAME = "portal"
SERVICE = Service(NAME, Settings, __name__)
