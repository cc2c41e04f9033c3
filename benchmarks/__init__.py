"""Accuracy, speed and memory: each file opens with its command."""
