"""`python -m services.attachments api|worker|reseal`."""

from kit.process import main
from services.attachments.wiring import SERVICE

main(SERVICE)
