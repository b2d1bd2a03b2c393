"""Every error that alphawire raises on purpose.

AlphawireError              one clear line for the user, never a traceback
├── ConfigurationError      wrong use or configuration: fails at start, exit code 2
├── PluginError             a plugin is faulty or failed: names the plugin, the fault and the mend
├── ArtifactError           a model artifact does not match its manifest or its strategy
├── BrokerError             the broker is unreachable, or lacks a topic
└── BadRecord               one record on the wire: goes to `dead-letters`, the partition goes on
"""


class AlphawireError(Exception):
    """Base of all; its text is one line that a user can act on."""


class ConfigurationError(AlphawireError):
    """Wrong use or configuration; raised before anything starts."""


class PluginError(AlphawireError):
    """A plugin cannot be loaded or used; the text names the plugin, the fault and the mend."""


class ArtifactError(AlphawireError):
    """A model artifact is missing, damaged, or made for something else."""


class BrokerError(AlphawireError):
    """The broker cannot be reached, or something that must be there is not."""


class BadRecord(AlphawireError):
    """One record that cannot be used.

    `kind` is the error class in the dead letter's header: undecodable, tombstone, invalid, wrong_key,
    wrong_partition, too_large, correction, late, future, unknown_schema.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
