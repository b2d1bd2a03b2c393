"""Where a plugin's own code is called: what it raises, in one line that names it."""

import contextlib
import errno
from collections.abc import Iterator

from schemas.errors import AlphawireError, PluginError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What a write fails with when there is no room, or none that may be used."""


@contextlib.contextmanager
def plugin_errors(key: str, verb: str) -> Iterator[None]:
    """Whatever a plugin's own code raises becomes a `PluginError` of one line; what it raised is its cause."""
    try:
        yield
    except AlphawireError:
        raise
    except NotImplementedError as error:
        raise PluginError(f"{key}: does not define {verb}, which training and serving need") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:  # the disk's fault, not the plugin's
            raise
        text = " ".join(str(error).split())
        raise PluginError(f"{key}: {verb} failed: {type(error).__name__}: {text}") from error
