"""Federated snapshot pipelines on Kubernetes."""
