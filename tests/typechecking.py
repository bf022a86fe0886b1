"""What checks the engine's annotations at run time, in tests only."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

# An int where a float is asked for is fine, as for every type checker.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
