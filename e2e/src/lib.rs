//! Stories, benchmarks and external checks.
