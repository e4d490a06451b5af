"""What both processes of the service are built from."""

from collections.abc import Mapping

from services.notify.settings import CarrierSettings, Settings


def accounts(settings: Settings) -> dict[str, CarrierSettings]:
    """The operators in use, in their order of preference."""
    known: Mapping[str, CarrierSettings | None] = {"tencent": settings.tencent, "aliyun": settings.aliyun}
    return {name: account for name in settings.order if (account := known[name])}
