"""`python -m services.notify api|worker`."""

from kit.process import main
from services.notify.wiring import SERVICE

main(SERVICE)
