"""The topics, their names, and how each is kept."""

from streams.kafka.topics.creation import Created, create_topics, list_topics, partition_count, require_topics
from streams.kafka.topics.specs import TOPICS, TopicSpec, partitions_wanted, require_own_bars, topic_name

__all__ = [
    "TOPICS",
    "Created",
    "TopicSpec",
    "create_topics",
    "list_topics",
    "partition_count",
    "partitions_wanted",
    "require_own_bars",
    "require_topics",
    "topic_name",
]
