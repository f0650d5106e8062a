"""Pure constructors of Kubernetes objects."""
