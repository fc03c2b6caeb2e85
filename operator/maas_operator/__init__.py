"""maas-operator: model as a service on one's own NPU and GPU nodes."""
