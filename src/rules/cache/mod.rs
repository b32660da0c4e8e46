//! The rules about caches; the catalog has them in order.

pub mod lost_expiry;
pub mod missing_key;
pub mod negative_balance;
pub mod orphan_key;
pub mod out_of_bounds;
pub mod resurrected_key;
pub mod stale_negative;
pub mod state_regression;
pub mod undecodable_value;
pub mod value_mismatch;
pub mod version_ahead;
pub mod version_regression;
pub mod wrong_type;
