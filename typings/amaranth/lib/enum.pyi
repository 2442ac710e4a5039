"""Enumerations that may carry a shape: `class Op(enum.Enum, shape=2)`."""

import enum as _enum
from enum import EnumType as EnumType, auto as auto, nonmember as nonmember, unique as unique
from typing import Any

class Enum(_enum.Enum):  # type: ignore[misc] # a base, so without members
    def __init_subclass__(cls, *, shape: Any = None, view_class: Any = None) -> None: ...

class IntEnum(_enum.IntEnum):  # type: ignore[misc] # a base, so without members
    def __init_subclass__(cls, *, shape: Any = None, view_class: Any = None) -> None: ...

class Flag(_enum.Flag):  # type: ignore[misc] # a base, so without members
    def __init_subclass__(cls, *, shape: Any = None, view_class: Any = None) -> None: ...

class IntFlag(_enum.IntFlag):  # type: ignore[misc] # a base, so without members
    def __init_subclass__(cls, *, shape: Any = None, view_class: Any = None) -> None: ...

class EnumView(Any): ...
class FlagView(EnumView): ...
