"""The one door in front of every service: the facts it follows from, Envoy's files, and the agent beside Envoy."""
