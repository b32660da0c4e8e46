//! What is written down: CSV, JSON and journal files. Knows no server.
