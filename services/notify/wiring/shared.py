"""Objects that both processes need."""

from collections.abc import Mapping

from services.notify.settings import CarrierSettings, Settings


def accounts(settings: Settings) -> dict[str, CarrierSettings]:
    """The accounts at the carriers in use, in order of preference."""
    by_name: Mapping[str, CarrierSettings | None] = {"tencent": settings.tencent, "aliyun": settings.aliyun}
    return {name: account for name in settings.order if (account := by_name[name])}
