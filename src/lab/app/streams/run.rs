//! Producers and consumers under load, with a stop handle. Consumers die and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::app::StreamApp;
use super::consumer::{Consumer, Fate, KillAt};
use super::entry::Message;
use super::layout::Layout;
use super::producer::Producer;
use crate::lab::{LabError, wait};

/// How long one waits before it asks again for a server that does not answer.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Messages a consumer is given at once; when it dies, the rest of them is left over too.
const BATCH: usize = 5;
/// One entry in so many is of the other type, one bid in so many is too low.
const VIEW_ONE_IN: u32 = 6;
const LOW_ONE_IN: u32 = 12;

/// How hard the application works, and how often its consumers die.
#[derive(Debug, Clone, Copy)]
pub struct StreamLoad {
    pub layouts: &'static [Layout],
    pub producers: u64,
    /// Of each layout.
    pub consumers: u64,
    /// Entries a second, all producers together; `None`: as fast as they go.
    pub per_second: Option<u32>,
    /// A consumer dies with one message in so many, at any step; `None`: never. It comes back under its own
    /// name, and then asks for what it left, or under another one.
    pub dies_one_in: Option<u32>,
    pub seed: u64,
}

/// What was done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamTally {
    pub added: u64,
    /// Messages taken all the way.
    pub done: u64,
    pub deaths: u64,
    pub failed: u64,
}

/// A running application. Dropping it ends it wherever it is; [`StreamRunning::stop`] ends it between two messages.
pub struct StreamRunning {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    producers_stopped: AtomicBool,
    consumers_stopped: AtomicBool,
    added: AtomicU64,
    done: AtomicU64,
    deaths: AtomicU64,
    failed: AtomicU64,
    /// Names of the consumers at work, by layout and number of their place.
    live: Mutex<BTreeMap<(Layout, u64), String>>,
}

/// One place in a group, which is filled by one consumer after the other.
struct Seat {
    app: Arc<StreamApp>,
    layout: Layout,
    number: u64,
    name: String,
    /// Consumers that came under another name.
    successors: u64,
    dies_one_in: Option<u32>,
    random: SmallRng,
}

impl StreamApp {
    /// Starts working. Consumers are named `{group}-{number}`, their successors `{group}-{number}-{n}`.
    pub fn run(self: &Arc<Self>, load: StreamLoad) -> StreamRunning {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for number in 0..load.producers {
            let producer = self.producer(load.seed ^ (number << 32));
            tasks.spawn(produce(producer, load, shared.clone()));
        }
        for layout in load.layouts {
            for number in 0..load.consumers {
                let seat = Seat {
                    app: self.clone(),
                    layout: *layout,
                    number,
                    name: format!("{}-{number}", layout.group()),
                    successors: 0,
                    dies_one_in: load.dies_one_in,
                    random: SmallRng::seed_from_u64(load.seed ^ (number << 40)),
                };
                shared.sit_down(&seat, &seat.name);
                tasks.spawn(seat.work(shared.clone()));
            }
        }
        StreamRunning { shared, tasks }
    }
}

impl StreamRunning {
    pub fn tally(&self) -> StreamTally {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StreamTally {
            added: of(&self.shared.added),
            done: of(&self.shared.done),
            deaths: of(&self.shared.deaths),
            failed: of(&self.shared.failed),
        }
    }

    /// The consumers of this layout that are alive now. With `dies_one_in` they may be others a moment later.
    pub fn live(&self, layout: Layout) -> BTreeSet<String> {
        let live = self.shared.lock_live();
        let names = live.iter().filter(|((of, _), _)| *of == layout);
        names.map(|(_, name)| name.clone()).collect()
    }

    /// Waits until `count` more messages were taken all the way than now.
    pub async fn wait_for(&self, count: u64, limit: Duration) -> Result<(), LabError> {
        let goal = self.tally().done + count;
        wait::until(
            format!("{count} more messages are done"),
            limit,
            async || self.tally().done >= goal,
        )
        .await
    }

    /// Nothing is added any more; what was added is still consumed.
    pub fn stop_producers(&self) {
        self.shared.producers_stopped.store(true, Ordering::Relaxed);
    }

    /// Lets everyone finish what they were given; after this nothing of the application is in flight.
    pub async fn stop(mut self) -> StreamTally {
        self.stop_producers();
        self.shared.consumers_stopped.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        self.tally()
    }
}

impl Shared {
    fn sit_down(&self, seat: &Seat, name: &str) {
        self.lock_live()
            .insert((seat.layout, seat.number), name.to_owned());
    }

    fn lock_live(&self) -> MutexGuard<'_, BTreeMap<(Layout, u64), String>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn produce(mut producer: Producer, load: StreamLoad, shared: Arc<Shared>) {
    let pause = load
        .per_second
        .map(|rate| Duration::from_secs_f64(load.producers as f64 / f64::from(rate.max(1))));
    let mut next = Instant::now();
    while !shared.producers_stopped.load(Ordering::Relaxed) && !load.layouts.is_empty() {
        let index = producer.random().random_range(0..load.layouts.len());
        let layout = load.layouts[index];
        let added = if producer.random().random_ratio(1, VIEW_ONE_IN) {
            producer.add_view(layout).await
        } else {
            let is_low = producer.random().random_ratio(1, LOW_ONE_IN);
            let bid = if is_low {
                producer.draw_low()
            } else {
                producer.draw()
            };
            producer.add(layout, &bid).await
        };
        if added.is_ok() {
            shared.added.fetch_add(1, Ordering::Relaxed);
        } else {
            shared.failed.fetch_add(1, Ordering::Relaxed);
            sleep(RETRY_AFTER).await;
        }
        if let Some(pause) = pause {
            next += pause;
            sleep_until(next).await;
        }
    }
}

impl Seat {
    /// One consumer after the other, until told to stop.
    async fn work(mut self, shared: Arc<Shared>) {
        let mut consumer = self.app.consumer(self.layout, &self.name);
        // Whoever starts, or lost a connection, first asks for what it was given before.
        let mut has_history = true;
        while !shared.consumers_stopped.load(Ordering::Relaxed) {
            let messages = if has_history {
                consumer.read_history("0", BATCH).await
            } else {
                consumer.read(BATCH).await
            };
            let worked = match messages {
                Ok(messages) => {
                    has_history &= !messages.is_empty();
                    self.work_on(&mut consumer, &messages, &shared).await
                }
                Err(_) => None,
            };
            match worked {
                Some(Fate::Done) => {}
                Some(Fate::Died) => {
                    shared.deaths.fetch_add(1, Ordering::Relaxed);
                    consumer = self.succeed();
                    shared.sit_down(&self, consumer.name());
                    has_history = true;
                }
                None => {
                    shared.failed.fetch_add(1, Ordering::Relaxed);
                    has_history = true;
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// `None`: a server failed.
    async fn work_on(
        &mut self,
        consumer: &mut Consumer,
        messages: &[Message],
        shared: &Shared,
    ) -> Option<Fate> {
        for message in messages {
            let kill = self.draw_kill();
            match consumer.process(message, kill).await {
                Ok(Fate::Done) => shared.done.fetch_add(1, Ordering::Relaxed),
                Ok(Fate::Died) => return Some(Fate::Died),
                Err(_) => return None,
            };
        }
        Some(Fate::Done)
    }

    fn draw_kill(&mut self) -> Option<KillAt> {
        let dies = self.random.random_ratio(1, self.dies_one_in?);
        let at = self.random.random_range(0..KillAt::ALL.len());
        dies.then_some(KillAt::ALL[at])
    }

    /// The next consumer of this place, under the same name or another.
    fn succeed(&mut self) -> Consumer {
        if self.random.random() {
            return self.app.consumer(self.layout, &self.name);
        }
        self.successors += 1;
        let name = format!("{}-{}", self.name, self.successors);
        self.app.consumer(self.layout, &name)
    }
}
