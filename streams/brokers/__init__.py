"""Brokers that alphawire starts and stops itself, on loopback, for development, the demo and the tests."""

from streams.brokers.base import Broker
from streams.brokers.tansu import TansuBroker

__all__ = ["Broker", "TansuBroker"]
