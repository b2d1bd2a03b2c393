"""Features and models are compiled; what that needs of the surroundings."""

import os

from schemas.errors import ConfigurationError


def require_compilation() -> None:
    """`ConfigurationError` where numba was told not to compile: other code would run than the one that is certified,
    a hundred times slower.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0").strip() not in ("", "0"):
        raise ConfigurationError(
            "NUMBA_DISABLE_JIT is set, and features and models must be compiled; unset it (unset NUMBA_DISABLE_JIT)"
        )
    if not os.path.exists(".numba_config.yaml"):
        return  # numba is not imported for nothing: a list of plugins needs none
    from numba import config

    if getattr(config, "DISABLE_JIT", 0):
        raise ConfigurationError(
            "numba is told not to compile, by disable_jit in .numba_config.yaml of this folder, and features and models"
            " must be compiled; remove that line"
        )
