"""One folder per kind: gather, plan, apply, summarize."""
