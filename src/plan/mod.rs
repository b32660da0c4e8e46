//! How the work is cut: windows, slices, budgets. Pure.
