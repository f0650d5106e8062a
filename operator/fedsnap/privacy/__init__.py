"""Privacy accountants, leakage audits and fidelity comparisons; no I/O."""
