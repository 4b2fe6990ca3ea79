//! Fixtures for tests: servers, faults, products.
