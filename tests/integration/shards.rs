//! Several processes that divide a job find what one process finds.

mod frozen;
mod locks;
mod merged;
mod status;
mod union;
