//! A proxy that lets everything pass until a certain command comes for the n-th time, and then holds it, or its answer,
//! for good: whoever waits behind it can be killed right there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Of the n-th command with the word, counted from 1 over all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    Nothing,
    /// The server never gets it.
    Request(usize),
    /// The server has done it, and nobody learns of it.
    Reply(usize),
}

/// Listens on a free port until it is dropped; every connection through it ends then too.
pub struct Gate {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    target: u16,
    /// What the command is known by, in capitals.
    word: &'static [u8],
    hold: Hold,
    seen: AtomicUsize,
    is_holding: watch::Sender<bool>,
}

impl Gate {
    pub async fn start(target: u16, word: &'static str, hold: Hold) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target,
            word: word.as_bytes(),
            hold,
            seen: AtomicUsize::new(0),
            is_holding: watch::channel(false).0,
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { port, shared, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How often the command came so far.
    pub fn seen(&self) -> usize {
        self.shared.seen.load(Ordering::Relaxed)
    }

    /// Returns once the command, or its answer, is held.
    pub async fn holds(&self) {
        let mut holding = self.shared.is_holding.subscribe();
        holding.wait_for(|is| *is).await.unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, so that all connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, shared.clone()));
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.target)).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let holds_replies = AtomicBool::new(false);
    tokio::select! {
        () = requests(client_read, server_write, &shared, &holds_replies) => {}
        () = replies(server_read, client_write, &shared, &holds_replies) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    holds_replies: &AtomicBool,
) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let chunk = &buffer[..count];
        let mut sent = 0;
        for at in places(chunk, shared.word) {
            let nth = shared.seen.fetch_add(1, Ordering::Relaxed) + 1;
            let ends_here = match shared.hold {
                Hold::Nothing => false,
                Hold::Request(held) => nth == held,
                // What follows in the same pipeline must not be done.
                Hold::Reply(held) => nth == held + 1 && holds_replies.load(Ordering::Relaxed),
            };
            if ends_here {
                if to.write_all(&chunk[sent..at]).await.is_ok() {
                    if matches!(shared.hold, Hold::Request(_)) {
                        shared.is_holding.send_replace(true);
                    }
                    std::future::pending::<()>().await;
                }
                return;
            }
            if shared.hold == Hold::Reply(nth) {
                if to.write_all(&chunk[sent..at]).await.is_err() {
                    return;
                }
                sent = at;
                holds_replies.store(true, Ordering::Relaxed);
            }
        }
        if to.write_all(&chunk[sent..]).await.is_err() {
            return;
        }
    }
}

async fn replies(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    holds_replies: &AtomicBool,
) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if holds_replies.load(Ordering::Relaxed) {
            shared.is_holding.send_replace(true);
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Where the word begins, wherever it is in the bytes.
fn places(bytes: &[u8], word: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(word.len()).enumerate();
    windows
        .filter(|(_, window)| *window == word)
        .map(|(at, _)| at)
        .collect()
}
