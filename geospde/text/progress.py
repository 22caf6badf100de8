"""How far a long computation is, as whoever waits for it hears it."""

from collections.abc import Callable

Callback = Callable[[int, int | None, str], None]
"""Called with how much is done, of how much (None where nobody knows), and what is being done."""
