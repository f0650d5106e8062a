"""The kinds of fedsnap.dev/v1alpha1 as pydantic models, and the CRD generator."""
