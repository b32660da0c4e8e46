//! One run of the program, timed from outside: its clock, its processor time, its memory, and the
//! processor time of the two servers meanwhile, all from `/proc`.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use auditor::lab::servers::RedisServer;

/// `/proc` counts processor time in these, on every Linux that is in use.
const TICK: Duration = Duration::from_millis(10);
const POLL: Duration = Duration::from_millis(5);

/// What one run took.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    /// Time in which some batch of suspects waited for its next look, as far as nothing else was done meanwhile.
    pub(crate) waited: Duration,
    pub(crate) own_cpu: Duration,
    pub(crate) mysql_cpu: Duration,
    pub(crate) redis_cpu: Duration,
    pub(crate) memory_kib_max: u64,
    /// What Redis sent meanwhile; whoever asks it before and after fills it in.
    pub(crate) redis_bytes: u64,
    /// Where its files are.
    pub(crate) folder: std::path::PathBuf,
    findings: u64,
}

/// Runs `command` to its end. `servers`: process ids of MySQL and Redis. `waits_max`: waits that are longer in
/// all are no waits, because other batches were worked on meanwhile.
pub(crate) fn measure(
    mut command: Command,
    servers: [u32; 2],
    waits_max: Duration,
) -> Result<Measured, Box<dyn Error>> {
    command
        // The waits are read from the log.
        .arg("--verbose")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let before = servers.map(cpu_of);
    let began = Instant::now();
    let mut child = command.spawn()?;
    let waits = collect_waits(&mut child);
    let (wall, memory_kib_max) = watch(&child, began);
    let own_cpu = cpu_of(child.id());
    // Read only now: the pipe holds the few lines of the summary.
    let stdout = std::io::read_to_string(child.stdout.take().expect("it was asked for"));
    let status = child.wait()?;
    let after = servers.map(cpu_of);
    let (waits, said) = waits.join().expect("the reader does not panic");
    let stdout = stdout?;
    if !matches!(status.code(), Some(0 | 1)) {
        return Err(format!("the auditor ended with {status}:\n{stdout}\n{said}").into());
    }
    let folder = command.get_current_dir().ok_or("no folder")?.to_owned();
    let place = stdout.lines().last().and_then(|l| l.rsplit(' ').next());
    let place = folder.join(place.unwrap_or_default().trim_end_matches('.'));
    let findings = std::fs::read_to_string(place.join("findings.csv"))?;
    Ok(Measured {
        wall,
        waited: union(waits).min(waits_max),
        own_cpu,
        mysql_cpu: after[0].saturating_sub(before[0]),
        redis_cpu: after[1].saturating_sub(before[1]),
        memory_kib_max,
        redis_bytes: 0,
        findings: findings
            .lines()
            .filter(|l| l.contains(",confirmed,"))
            .count() as u64,
        folder: place,
    })
}

impl Measured {
    pub(crate) fn working(&self) -> Duration {
        self.wall.saturating_sub(self.waited)
    }

    pub(crate) fn servers_cpu(&self) -> Duration {
        self.mysql_cpu + self.redis_cpu
    }

    /// A fast audit that finds something else than was planted is worth nothing.
    pub(crate) fn expect_findings(&self, planted: u64) -> Result<(), String> {
        if self.findings < planted {
            return Err(format!(
                "{} findings where at least {planted} were planted, in {}",
                self.findings,
                self.folder.display()
            ));
        }
        Ok(())
    }

    pub(crate) fn told(&self) -> String {
        format!(
            "  auditor        wall {} (of which {} waiting for second looks), processor {}, memory {} MiB, {} findings\n  \
             servers        processor {} MySQL + {} Redis, which sent {} MiB",
            seconds(self.wall),
            seconds(self.waited),
            seconds(self.own_cpu),
            self.memory_kib_max / 1024,
            self.findings,
            seconds(self.mysql_cpu),
            seconds(self.redis_cpu),
            self.redis_bytes >> 20,
        )
    }
}

/// Bytes that a Redis has sent so far.
pub(crate) async fn sent(redis: &RedisServer) -> Result<u64, Box<dyn Error>> {
    let sent = redis.info("total_net_output_bytes").await?;
    Ok(sent
        .ok_or("Redis does not say what it sent")?
        .trim()
        .parse()?)
}

/// What a server's own client took for what it was given to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Client {
    /// Runs `client` on `text`, which goes through the file `input`; its answers are thrown away.
    pub(crate) fn run(
        mut client: Command,
        text: &str,
        input: &Path,
    ) -> Result<Client, Box<dyn Error>> {
        std::fs::write(input, text)?;
        let began = Instant::now();
        let mut child = client
            .stdin(File::open(input)?)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|fault| format!("{}: {fault}", client.get_program().display()))?;
        let (wall, _) = watch(&child, began);
        let cpu = cpu_of(child.id());
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("{} ended with {status}", client.get_program().display()).into());
        }
        Ok(Client { wall, cpu })
    }

    pub(crate) fn told(&self) -> String {
        format!("{} (processor {})", seconds(self.wall), seconds(self.cpu))
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

type Waits = Vec<(Instant, Instant)>;

/// When and how long batches waited, from the program's log.
fn collect_waits(child: &mut Child) -> JoinHandle<(Waits, String)> {
    let stderr = child.stderr.take().expect("it was asked for");
    std::thread::spawn(move || {
        let (mut waits, mut said) = (Vec::new(), String::new());
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let seconds = line
                .split_once("the next look is due in ")
                .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
            match seconds {
                Some(seconds) => {
                    let now = Instant::now();
                    waits.push((now, now + Duration::from_secs_f64(seconds)));
                }
                None => said.push_str(&(line + "\n")),
            }
        }
        (waits, said)
    })
}

fn union(mut waits: Waits) -> Duration {
    waits.sort();
    let mut total = Duration::ZERO;
    let mut covered = None;
    for (from, to) in waits {
        let from = covered.map_or(from, |end: Instant| end.max(from));
        total += to.saturating_duration_since(from);
        covered = covered.max(Some(to));
    }
    total
}

/// Until it has ended; gives its wall time and its largest resident size in KiB. It stays unreaped, so that
/// its processor time can still be read.
fn watch(child: &Child, began: Instant) -> (Duration, u64) {
    let mut largest = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let field = |name: &str| {
            let line = status
                .as_ref()
                .ok()?
                .lines()
                .find(|l| l.starts_with(name))?;
            line.split_whitespace().nth(1)
        };
        if matches!(field("State:"), None | Some("Z" | "X")) {
            return (began.elapsed(), largest);
        }
        let now = field("VmHWM:").and_then(|kib| kib.parse().ok());
        largest = largest.max(now.unwrap_or(0));
        std::thread::sleep(POLL);
    }
}

/// User and system time of a process so far.
fn cpu_of(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // Fields 14 and 15 of proc(5), the state being the third.
    let ticks: u32 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    TICK * ticks
}
