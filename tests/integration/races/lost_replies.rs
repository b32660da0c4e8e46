//! A write that happened, and of which nobody heard.

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::Flavor;
use auditor::lab::wait;
use auditor::model::finding::OutcomeKind;
use auditor::repair::{Applier, StepOutcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::hands::{Hands, LIMIT, is_held_back, kinds};
use crate::support::World;
use crate::support::profiles::{NEW, OLD, PROFILE};

async fn world_of_one_stale_profile(replicas: usize) -> World {
    let mut world = World::with_replicas(Flavor::MariaDb, replicas).await;
    world
        .sql(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), version BIGINT NOT NULL,
               updated_at DATETIME(6) NOT NULL);
             INSERT INTO users VALUES (1, 'new', 2, '2026-01-01')",
        )
        .await;
    world.redis::<()>(&["SET", "user:1:profile", OLD]).await;
    world
}

/// Applies the one repair; its script runs, and its answer is thrown away with the connection.
async fn apply_without_reply(
    world: &mut World,
    hands: &Hands,
    min_replicas: u32,
) -> (Applier, Vec<StepOutcome>) {
    let items = hands.confirmed().await;
    let proxy = Proxy::start(world.redis.port()).await.unwrap();
    let (mut applier, _) = hands.applier(proxy.port(), min_replicas).await;
    world.redis::<()>(&["CONFIG", "RESETSTAT"]).await;
    world
        .redis::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"])
        .await;
    let network = async {
        is_held_back(world).await;
        proxy.set_mode(Mode::DropReplies);
        world.redis::<()>(&["CLIENT", "UNPAUSE"]).await;
        wait::until("the answer is thrown away", LIMIT, async || {
            proxy.dropped_reply_bytes() > 0
        })
        .await
        .unwrap();
        proxy.set_mode(Mode::Pass);
        proxy.cut_connections();
    };
    let (outcomes, ()) = tokio::join!(hands.apply(&mut applier, &items), network);
    (applier, outcomes)
}

async fn sets(world: &World) -> String {
    let answer = world.redis.command(&["INFO", "commandstats"]).await;
    let redis::Value::BulkString(text) = answer.unwrap() else {
        panic!("INFO gives text")
    };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find(|line| line.starts_with("cmdstat_set:"));
    line.and_then(|line| line.split(',').next())
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn a_write_whose_reply_was_lost_is_read_again_and_not_sent_again() {
    let mut world = world_of_one_stale_profile(0).await;
    let hands = Hands::of(&world, PROFILE).await;
    let (applier, outcomes) = apply_without_reply(&mut world, &hands, 0).await;
    assert_eq!(kinds(&outcomes), [OutcomeKind::Applied], "{outcomes:?}");
    assert_eq!(applier.stopped(), None, "no replica was asked for");
    let value: String = world.redis(&["GET", "user:1:profile"]).await;
    assert_eq!(value, NEW);
    assert_eq!(sets(&world).await, "cmdstat_set:calls=1");
}

#[tokio::test]
async fn a_new_connection_does_not_speak_for_the_replicas_of_the_lost_one() {
    let mut world = world_of_one_stale_profile(1).await;
    let hands = Hands::of(&world, PROFILE).await;
    let (mut applier, outcomes) = apply_without_reply(&mut world, &hands, 1).await;
    assert_eq!(kinds(&outcomes), [OutcomeKind::Applied], "{outcomes:?}");
    let why = applier.stopped().unwrap_or_default().to_owned();
    assert!(why.contains("connection"), "it goes on repairing: {why:?}");

    world.redis::<()>(&["SET", "user:1:profile", OLD]).await;
    let items = hands.confirmed().await;
    let outcomes = hands.apply(&mut applier, &items).await;
    assert_eq!(kinds(&outcomes), [OutcomeKind::Refused], "{outcomes:?}");
}

/// The request left, the connection broke, and the server sees it only afterwards.
#[tokio::test]
async fn a_write_that_is_still_under_way_is_not_called_untouched() {
    let mut world = world_of_one_stale_profile(0).await;
    let hands = Hands::of(&world, PROFILE).await;
    let items = hands.confirmed().await;
    let relay = Relay::start(world.redis.port()).await;
    let (mut applier, _) = hands.applier(relay.port, 0).await;
    let outcomes = hands.apply(&mut applier, &items).await;
    relay.deliver().await;
    // Whatever it was called, it stays so.
    let value: String = world.redis(&["GET", "user:1:profile"]).await;
    assert_eq!(
        (outcomes[0].kind, value.as_str()),
        (OutcomeKind::Failed, OLD),
        "{outcomes:?}"
    );
}

/// Passes everything on, but keeps the first call of a script and breaks the connection it came by.
struct Relay {
    port: u16,
    kept: oneshot::Receiver<(Vec<u8>, TcpStream)>,
}

impl Relay {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (keep, kept) = oneshot::channel();
        tokio::spawn(async move {
            let mut keep = Some(keep);
            while let Ok((mut client, _)) = listener.accept().await {
                let mut redis = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                match keep.take() {
                    Some(keep) => {
                        let call = pass_until_script(&mut client, &mut redis).await;
                        drop(client);
                        keep.send((call, redis)).unwrap();
                    }
                    None => {
                        tokio::spawn(
                            async move { copy_bidirectional(&mut client, &mut redis).await },
                        );
                    }
                }
            }
        });
        Self { port, kept }
    }

    /// The kept call reaches the server, which answers it.
    async fn deliver(self) {
        let (call, mut redis) = self.kept.await.unwrap();
        redis.write_all(&call).await.unwrap();
        assert!(redis.read(&mut [0; 64]).await.unwrap() > 0);
    }
}

async fn pass_until_script(client: &mut TcpStream, redis: &mut TcpStream) -> Vec<u8> {
    let (mut request, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            count = client.read(&mut request) => {
                let bytes = &request[..count.unwrap()];
                if bytes.windows(7).any(|word| word == b"EVALSHA") {
                    return bytes.to_vec();
                }
                redis.write_all(bytes).await.unwrap();
            }
            count = redis.read(&mut answer) => {
                client.write_all(&answer[..count.unwrap()]).await.unwrap();
            }
        }
    }
}
