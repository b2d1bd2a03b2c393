"""The owners of partitions: each is assigned, fenced, restored, fed, revoked and closed."""
