"""Modules that are imported when something of them is first used, so that the window is up sooner."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """Stands in for a module until one of its names is asked for.

    Use it in place of an import, beside one for the type checker::

        if TYPE_CHECKING:
            import pyqtgraph as pg
        else:
            pg = Later("pyqtgraph")

    Parameters
    ----------
    name : of the module.
    """

    def __getattr__(self, name: str) -> Any:
        """Import the module, and keep what was asked for."""
        if name.startswith("__"):
            raise AttributeError(name)  # whoever looks around among modules imports nothing
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)
        return value
