//! How a person drives it: arguments, progress, logging, exit codes.
