//! A TCP proxy whose behaviour can be changed while connections run through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::LabError;

const BUFFER_BYTES: usize = 64 * 1024;

/// What happens to bytes, from the moment it is set, on old and new connections alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Connections stay open; nothing moves in either direction until another mode is set.
    BlackHole,
    /// Open connections are closed, new ones are closed at once.
    Cut,
    /// Requests reach the server; its answers are thrown away.
    DropReplies,
    /// Every chunk, in either direction, is held this long.
    Delay(Duration),
}

/// Listens on a free port of 127.0.0.1 until it is dropped.
pub struct Proxy {
    port: u16,
    settings: watch::Sender<Settings>,
    counters: Arc<Counters>,
    listener: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    mode: Mode,
    target: SocketAddr,
    /// Raised whenever open connections have to end.
    generation: u64,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    requested_bytes: AtomicU64,
    dropped_reply_bytes: AtomicU64,
}

impl Proxy {
    /// Forwards to `target_port` of 127.0.0.1, in `Mode::Pass`.
    pub async fn start(target_port: u16) -> Result<Self, LabError> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(LabError::io("open a proxy"))?;
        let port = listener
            .local_addr()
            .map_err(LabError::io("open a proxy"))?
            .port();
        let (settings, watched) = watch::channel(Settings {
            mode: Mode::Pass,
            target: local(target_port),
            generation: 0,
        });
        let counters = Arc::new(Counters::default());
        let listener = tokio::spawn(accept(listener, watched, counters.clone()));
        Ok(Self {
            port,
            settings,
            counters,
            listener,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set_mode(&self, mode: Mode) {
        self.settings.send_modify(|settings| {
            settings.mode = mode;
            settings.generation += u64::from(mode == Mode::Cut);
        });
    }

    /// Where new connections go. Open ones stay where they are; `cut_connections` ends them.
    pub fn set_target(&self, target_port: u16) {
        self.settings
            .send_modify(|settings| settings.target = local(target_port));
    }

    /// Ends every open connection, once; new ones are served as the mode says.
    pub fn cut_connections(&self) {
        self.settings
            .send_modify(|settings| settings.generation += 1);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.counters.connections.load(Ordering::Relaxed)
    }

    /// Bytes passed on to the server so far.
    pub fn requested_bytes(&self) -> u64 {
        self.counters.requested_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of answers thrown away so far: once it grows, the server has done what it was asked.
    pub fn dropped_reply_bytes(&self) -> u64 {
        self.counters.dropped_reply_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections' tasks end by themselves: their settings' sender goes with us.
        self.listener.abort();
    }
}

async fn accept(
    listener: TcpListener,
    watched: watch::Receiver<Settings>,
    counters: Arc<Counters>,
) {
    while let Ok((client, _)) = listener.accept().await {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        let settings = *watched.borrow();
        if settings.mode != Mode::Cut {
            tokio::spawn(serve(client, settings, watched.clone(), counters.clone()));
        }
    }
}

async fn serve(
    client: TcpStream,
    start: Settings,
    mut watched: watch::Receiver<Settings>,
    counters: Arc<Counters>,
) {
    let Ok(server) = TcpStream::connect(start.target).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let requests = pump(
        client_read,
        server_write,
        watched.clone(),
        Way::Request,
        &counters,
    );
    let replies = pump(
        server_read,
        client_write,
        watched.clone(),
        Way::Reply,
        &counters,
    );
    let ended = watched.wait_for(|now| now.generation != start.generation);
    // A side that closes ends both: no protocol here uses half-open connections.
    tokio::select! {
        () = requests => {}
        () = replies => {}
        _ = ended => {}
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Reply,
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut watched: watch::Receiver<Settings>,
    way: Way,
    counters: &Counters,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let Ok(now) = watched
            .wait_for(|now| now.mode != Mode::BlackHole)
            .await
            .map(|now| *now)
        else {
            return;
        };
        if let Mode::Delay(pause) = now.mode {
            tokio::time::sleep(pause).await;
        }
        if way == Way::Reply && now.mode == Mode::DropReplies {
            counters
                .dropped_reply_bytes
                .fetch_add(count as u64, Ordering::Relaxed);
            continue;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        if way == Way::Request {
            counters
                .requested_bytes
                .fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
