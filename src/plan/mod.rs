//! How the work is cut: windows, slices, budgets. Pure.

pub mod window;
