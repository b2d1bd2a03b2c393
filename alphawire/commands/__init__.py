"""One module for each command, in rooms; `alphawire.cli` imports a module only when its command is used."""
