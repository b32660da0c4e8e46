//! `jobs/schedule/sentinel-reconfig.sh`, run by each shell that is there with stand-ins for what it starts.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use auditor::lab::wait;
use tempfile::TempDir;

use super::*;

pub(super) const HOOK: &str = "jobs/schedule/sentinel-reconfig.sh";
/// What Sentinel says to the Sentinel that led a failover.
const LEADER: [&str; 7] = [
    "mymaster", "leader", "start", "10.0.0.1", "6379", "10.0.0.2", "6380",
];
const LIMIT: Duration = Duration::from_secs(30);

/// A folder of programs that write down how they were called, and of what the hook reads and writes.
pub(super) struct Bench(TempDir);

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        Self(folder)
    }

    /// Adds a program: `body` after a line that writes its arguments down, one a line, an empty line last.
    pub(super) fn program(&self, name: &str, body: &str) {
        let calls = self.0.path().join(format!("{name}.calls"));
        let path = self.0.path().join("bin").join(name);
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" '' >>'{}'\n{body}",
            calls.display()
        );
        // By another process: a file that this one has open to write cannot be executed, and a fork elsewhere in the
        // tests keeps it open for a moment.
        let made = Command::new("sh")
            .args(["-c", "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"", "sh"])
            .args([&path, Path::new(&script)])
            .status();
        assert!(made.unwrap().success());
    }

    /// The arguments of every call so far.
    pub(super) fn calls(&self, name: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.0.path().join(format!("{name}.calls")));
        let text = text.unwrap_or_default();
        let calls = text.split_terminator("\n\n");
        calls
            .map(|call| call.lines().map(str::to_owned).collect())
            .collect()
    }

    pub(super) fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.0.path().join("bin").display())
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Calls the hook as Sentinel does and waits until it has returned and let go of its output.
    async fn call(&self, shell: &str, arguments: &[&str], settings: &[(&str, &str)]) {
        let called = tokio::process::Command::new(shell)
            .arg(repository().join(HOOK))
            .args(arguments)
            .env_clear()
            .env("PATH", self.path())
            .env("AUDITOR_JOBS", self.0.path())
            .env("AUDITOR_OUTPUT", "/var/out")
            .env("AUDITOR_LOG", self.file("log"))
            .envs(settings.iter().copied())
            .output();
        let output = tokio::time::timeout(LIMIT, called).await;
        let output = output.expect("it returns at once").unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&said), "");
    }
}

/// The words of a text that no shell has to take apart.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn shells() -> Vec<&'static str> {
    let is_there = |shell: &&str| Command::new(shell).args(["-c", ":"]).output().is_ok();
    let shells: Vec<_> = ["sh", "dash", "bash"]
        .into_iter()
        .filter(is_there)
        .collect();
    assert!(shells.contains(&"sh"));
    shells
}

/// A bench with the master's job file and a program that works until the file `go` is there, or a minute.
fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::write(bench.file("mymaster.toml"), "").unwrap();
    let body = format!(
        "i=0\ncut -d ' ' -f 6 /proc/$$/stat >'{}'\nuntil [ -e '{}' ]; do i=$((i + 1)); [ $i -lt 3000 ] || exit 9; sleep 0.02; done\nexit 4\n",
        bench.file("session").display(),
        bench.file("go").display()
    );
    bench.program("auditor", &body);
    bench
}

async fn until(cause: &str, condition: impl Fn() -> bool) {
    wait::until(cause, LIMIT, async || condition())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_leader_starts_one_run_and_does_not_wait_for_it() {
    for shell in shells() {
        let bench = bench();
        bench.call(shell, &LEADER, &[]).await;
        // It has returned, and the run cannot have ended: nothing lets it yet.
        until("the run has begun", || bench.file("session").exists()).await;
        assert!(!bench.log().contains("exit code"), "{}", bench.log());
        let job = bench.file("mymaster.toml").display().to_string();
        let call = vec!["run".to_owned(), job, "--output".into(), "/var/out".into()];
        assert_eq!(bench.calls("auditor"), std::slice::from_ref(&call));
        assert_eq!(refusal(&call), None);
        until("the run has said its session", || {
            !session(&bench).is_empty()
        })
        .await;
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert_ne!(
            Some(session(&bench).as_str()),
            own.split(' ').nth(5),
            "Sentinel's session"
        );

        std::fs::write(bench.file("go"), "").unwrap();
        until("the end is logged", || {
            bench.log().contains("exit code 4 of: auditor run")
        })
        .await;
        let moved = "master mymaster moved from 10.0.0.1:6379 to 10.0.0.2:6380";
        assert!(bench.log().contains(moved), "{}", bench.log());
    }
}

fn session(bench: &Bench) -> String {
    let text = std::fs::read_to_string(bench.file("session")).unwrap_or_default();
    text.trim().to_owned()
}

#[tokio::test]
async fn observers_and_strange_calls_start_nothing() {
    let mut observer = LEADER;
    observer[1] = "observer";
    let mut stranger = LEADER;
    stranger[0] = "another";
    type Setting = (&'static str, &'static str);
    let cases: [(&[&str], &[Setting], &str); 6] = [
        (&observer, &[], ""),
        (&stranger, &[], "there is no job file"),
        (&LEADER[..6], &[], "called with 6 arguments"),
        (&[], &[], "called with 0 arguments"),
        (
            &LEADER,
            &[("AUDITOR_START", "docker")],
            "AUDITOR_START is docker",
        ),
        (
            &LEADER,
            &[("AUDITOR_JOBS", "/nowhere")],
            "there is no job file",
        ),
    ];
    for shell in shells() {
        for (arguments, settings, said) in cases {
            let bench = bench();
            bench.call(shell, arguments, settings).await;
            // Whatever is started is logged before, by the call that has returned.
            let log = bench.log();
            assert!(!log.contains("starting"), "{arguments:?}: {log}");
            assert!(
                log.contains(said) && log.is_empty() == said.is_empty(),
                "{log}"
            );
            assert_eq!(bench.calls("auditor"), [[""; 0]; 0]);
        }
    }
}

#[tokio::test]
async fn systemd_and_kubernetes_are_asked_to_start_it() {
    let bench = bench();
    bench.program("systemctl", "");
    bench.program("kubectl", "exit 1\n");
    bench
        .call("sh", &LEADER, &[("AUDITOR_START", "systemd")])
        .await;
    until("systemctl ended", || {
        bench.log().contains("exit code 0 of: systemctl")
    })
    .await;
    let unit = "start --no-block auditor-run@mymaster.service";
    assert_eq!(bench.calls("systemctl"), [words(unit)]);
    assert!(
        repository()
            .join("jobs/schedule/auditor-run@.service")
            .exists()
    );

    // Kubernetes has the job file in a ConfigMap, so none is looked for here.
    let nowhere = [
        ("AUDITOR_START", "kubernetes"),
        ("AUDITOR_JOBS", "/nowhere"),
    ];
    bench.call("sh", &LEADER, &nowhere).await;
    until("kubectl ended", || {
        bench.log().contains("exit code 1 of: kubectl")
    })
    .await;
    let calls = bench.calls("kubectl");
    let name = yaml::manifests();
    let name = pods::of_kind(&name, "CronJob")["metadata"]["name"]
        .as_str()
        .unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0][..2], ["create", "job"]);
    assert!(calls[0][2].starts_with(&format!("{name}-")), "{calls:?}");
    assert!(
        calls[0].contains(&format!("--from=cronjob/{name}")),
        "{calls:?}"
    );
    assert_eq!(bench.calls("auditor"), [[""; 0]; 0]);
}

#[tokio::test]
async fn without_a_place_for_the_log_it_starts_all_the_same() {
    let bench = bench();
    std::fs::write(bench.file("go"), "").unwrap();
    bench
        .call("sh", &LEADER, &[("AUDITOR_LOG", "/nowhere/at/all")])
        .await;
    until("the run was called", || bench.calls("auditor").len() == 1).await;
}

#[test]
fn it_can_be_executed() {
    let mode = std::fs::metadata(repository().join(HOOK))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
    assert!(read(HOOK).starts_with("#!/bin/sh\n"));
}
