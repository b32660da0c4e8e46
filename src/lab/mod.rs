//! Real servers in a temporary folder, real failovers, planted losses. The demo, the tests and the benches stand on it.
