"""`python -m services.notify api|worker|reseal`."""

from kit.runtime.process import main
from services.notify.wiring import SERVICE

main(SERVICE)
