"""Commands for whoever writes plugins or tries the service: plugins, check, schemas, broker, demo."""
