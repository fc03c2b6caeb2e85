"""Telling people and programs of what happens (M9): signed webhooks, and whatever apprise speaks."""
