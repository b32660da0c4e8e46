//! Free loopback ports.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::sync::Mutex;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::lab::LabError;

/// Below the range from which Linux takes the ports of outgoing connections (32768 up), so that no
/// client takes the port of a server that is about to start, or to start again.
const CANDIDATES: std::ops::Range<u16> = 12_000..32_000;

/// The range is nearly empty on any machine; a hundred misses mean something else is wrong.
const ATTEMPTS: usize = 100;

/// Handed out before by this process, and perhaps not bound yet.
static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port of 127.0.0.1 that nobody listens on and that this process has not handed out before.
/// Another process may still win it before the server binds it: starting retries on a clash.
pub fn free_port() -> Result<u16, LabError> {
    let mut taken = TAKEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    // Other processes draw too: where each begins must differ, and only that.
    let mut random = SmallRng::seed_from_u64(RandomState::new().build_hasher().finish());
    for _ in 0..ATTEMPTS {
        let port = random.random_range(CANDIDATES);
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return Ok(port);
        }
    }
    Err(LabError::Unfit(format!(
        "no free port of 127.0.0.1 was found in {CANDIDATES:?}"
    )))
}
