"""Registries, the discovery of plugins, and the listing of what was found."""
