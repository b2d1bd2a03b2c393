"""One module for each command; `alphawire.cli` imports a module only when its command is used."""
