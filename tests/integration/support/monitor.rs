//! What a Redis server was told, by its own MONITOR.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The commands executed since it began, as MONITOR prints them.
pub struct Monitor {
    lines: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Monitor {
    pub fn start(port: u16) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.write_all(b"MONITOR\r\n").unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let mut reader = BufReader::new(socket);
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), "+OK");
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                heard
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).trim().to_owned());
                line.clear();
            }
        });
        Self { lines, port }
    }

    /// How many commands were heard of so far.
    pub fn count(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// Everything executed before this call.
    pub fn lines(&self) -> Vec<String> {
        let mark = format!("mark-{}-{}", std::process::id(), self.count());
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket
            .write_all(format!("ECHO {mark}\r\n").as_bytes())
            .unwrap();
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let lines = self.lines.lock().unwrap().clone();
            if let Some(end) = lines.iter().position(|line| line.contains(&mark)) {
                return lines[..end].to_vec();
            }
            assert!(Instant::now() < limit, "MONITOR did not catch up");
            std::thread::yield_now();
        }
    }

    /// Names of the commands executed before this call, in lower case, each once.
    pub fn commands(&self) -> BTreeSet<String> {
        let name = |line: &String| Some(line.split('"').nth(1)?.to_lowercase());
        self.lines().iter().filter_map(name).collect()
    }
}
