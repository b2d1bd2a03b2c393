"""From a strategy's configuration to one that is ready to run."""
