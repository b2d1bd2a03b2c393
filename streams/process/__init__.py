"""The process around everything: exit codes, failpoints, logs."""
