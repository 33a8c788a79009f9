"""Federated learning rounds masked with quantum keys."""
