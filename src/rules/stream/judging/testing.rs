//! Streams, groups and looks for the tables of the stream rules' tests.
