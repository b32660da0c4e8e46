pub mod job;
pub mod model;
pub mod store;
