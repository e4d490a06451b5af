"""`python -m services.portal api`."""

from kit.process import main
from services.portal.wiring import SERVICE

main(SERVICE)
