"""A worker process from start to end: the Faust app, its pages, its health, its watchdog."""
