//! Redis and Valkey over plain connections that never reconnect by themselves.
