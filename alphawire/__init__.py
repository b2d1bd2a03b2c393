"""The thin shell: the command line and the demo."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("alphawire")
except PackageNotFoundError:  # run from a bare source tree
    __version__ = "0+unknown"
