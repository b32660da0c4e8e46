//! What counts as wrong: pure rules, one file each. No I/O, no clock, no async.
