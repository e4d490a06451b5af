"""`python -m services.portal api`."""

from kit.runtime.process import main
from services.portal.wiring import SERVICE

main(SERVICE)
