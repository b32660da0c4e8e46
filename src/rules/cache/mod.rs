//! The rules about caches, the most specific first.

pub mod wrong_type;
pub mod stale_negative;
pub mod resurrected_key;
pub mod orphan_key;
pub mod missing_key;
pub mod undecodable_value;
pub mod version_regression;
pub mod version_ahead;
pub mod negative_balance;
pub mod state_regression;
pub mod out_of_bounds;
pub mod value_mismatch;
pub mod lost_expiry;
