"""`python -m services.subscriptions api|worker`."""

from kit.runtime.process import main
from services.subscriptions.wiring import SERVICE

main(SERVICE)
