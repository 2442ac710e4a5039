"""Parameters that many parts of a switch are built from, readable as properties."""

from mtia.message import Channel
from mtia.switch import SwitchParameters


class WithParameters:
    """A component of a switch of some `SwitchParameters`."""

    _parameters: SwitchParameters

    @property
    def parameters(self) -> SwitchParameters:
        """Of the switch."""
        return self._parameters


class WithChannel:
    """A component of one channel."""

    _channel: Channel

    @property
    def channel(self) -> Channel:
        """Of the packets."""
        return self._channel
