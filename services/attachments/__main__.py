"""`python -m services.attachments api|worker|reseal`."""

from kit.runtime.process import main
from services.attachments.wiring import SERVICE

main(SERVICE)
