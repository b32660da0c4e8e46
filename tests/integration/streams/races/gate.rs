//! A relay before a server that stops the first script it is asked to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What every script answers that did its step.
const APPLIED: &[u8] = b":1\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Hold,
    Pass,
    LoseAnswers { bytes: usize },
    BreakOff,
}

pub(super) struct Gate {
    port: u16,
    orders: watch::Sender<Order>,
    target: watch::Sender<u16>,
    held: watch::Receiver<bool>,
}

/// What every connection knows.
#[derive(Clone)]
struct Post {
    orders: watch::Receiver<Order>,
    held: watch::Sender<bool>,
    /// Whether a script came already: later ones pass.
    has_come: Arc<AtomicBool>,
}

impl Gate {
    /// Passes on to `server` of 127.0.0.1.
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (orders, ordered) = watch::channel(Order::Hold);
        let (target, targeted) = watch::channel(server);
        let (hold, held) = watch::channel(false);
        let post = Post {
            orders: ordered,
            held: hold,
            has_come: Arc::default(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = *targeted.borrow();
                if let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await {
                    tokio::spawn(relay(client, server, post.clone()));
                }
            }
        });
        Self {
            port,
            orders,
            target,
            held,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Until a script has come and waits.
    pub(super) async fn holds(&mut self) {
        self.held.wait_for(|held| *held).await.unwrap();
    }

    pub(super) fn pass(&self) {
        self.orders.send_replace(Order::Pass);
    }

    /// This script and those after it pass; when the server has answered so many, the connection ends instead.
    pub(super) fn lose_answers(&self, count: usize) {
        let bytes = count * APPLIED.len();
        self.orders.send_replace(Order::LoseAnswers { bytes });
    }

    /// The script goes nowhere, its connection ends, and new ones go to `server`.
    pub(super) fn break_off(&self, server: u16) {
        self.target.send_replace(server);
        self.orders.send_replace(Order::BreakOff);
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, mut post: Post) {
    let (mut request, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut to_lose = None;
    loop {
        tokio::select! {
            count = client.read(&mut request) => {
                let Ok(count @ 1..) = count else { return };
                let bytes = &request[..count];
                let says = |said: &[u8]| bytes.windows(said.len()).any(|word| word == said);
                let is_script = says(b"EVALSHA") && !says(question().as_bytes());
                if is_script && !post.has_come.swap(true, Ordering::SeqCst) {
                    post.held.send_replace(true);
                    let order = post.orders.wait_for(|order| *order != Order::Hold).await;
                    match order.map(|order| *order) {
                        Ok(Order::BreakOff) | Err(_) => return,
                        Ok(Order::LoseAnswers { bytes }) => to_lose = Some(bytes),
                        Ok(Order::Pass | Order::Hold) => {}
                    }
                }
                if server.write_all(bytes).await.is_err() { return }
            }
            count = server.read(&mut answer) => {
                let Ok(count @ 1..) = count else { return };
                match &mut to_lose {
                    Some(left) if *left <= count => return,
                    Some(left) => *left -= count,
                    None if client.write_all(&answer[..count]).await.is_err() => return,
                    None => {}
                }
            }
        }
    }
}

/// The digest of the script that only asks, before an insert: it passes.
fn question() -> String {
    let text = concat!(
        include_str!("../../../../src/store/redis/lua/fence.lua"),
        "\n",
        include_str!("../../../../src/store/redis/lua/stream.lua"),
        "\n",
        include_str!("../../../../src/store/redis/lua/still_held.lua")
    );
    redis::Script::new(text).get_hash().to_owned()
}
