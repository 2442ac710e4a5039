"""The switch of a scale-up domain: queues, multicast, reduction of contributions on their way."""
