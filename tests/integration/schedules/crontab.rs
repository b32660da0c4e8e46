//! `jobs/schedule/crontab`: its commands are run by the shell that cron uses, with a stand-in for the program, once for each
//! exit code; what they print is what would be mailed.

use std::process::Command;

use auditor::cli::ExitStatus;

use super::hook::{Bench, words};
use super::*;

/// When, and what; as cron splits a line.
pub(super) struct Entry {
    times: Vec<String>,
    pub(super) command: String,
}

pub(super) struct Crontab {
    variables: Vec<(String, String)>,
    pub(super) entries: Vec<Entry>,
}

impl Crontab {
    fn read(text: &str) -> Self {
        let mut crontab = Self {
            variables: Vec::new(),
            entries: Vec::new(),
        };
        for line in text
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
        {
            let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            if let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name)) {
                crontab.variables.push((name.to_owned(), value.to_owned()));
                continue;
            }
            let fields: Vec<&str> = line.splitn(6, ' ').collect();
            let [times @ .., command] = fields.as_slice() else {
                panic!("{line}")
            };
            assert_eq!(times.len(), 5, "{line}");
            crontab.entries.push(Entry {
                times: times.iter().map(|t| (*t).to_owned()).collect(),
                command: (*command).to_owned(),
            });
        }
        crontab
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(n, _)| n == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }
}

pub(super) fn shipped() -> Crontab {
    Crontab::read(&read("jobs/schedule/crontab"))
}

/// What one run of a command prints, where the program ends with `code`.
fn mail(command: &str, code: u8) -> (String, Vec<Vec<String>>) {
    let bench = Bench::new();
    bench.program(
        "auditor",
        &format!("echo to-stdout\necho to-stderr >&2\nexit {code}\n"),
    );
    let output = Command::new("sh")
        .args(["-c", command])
        .env_clear()
        .env("PATH", bench.path())
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (said, bench.calls("auditor"))
}

#[test]
fn each_minute_there_is_a_beat_and_a_look() {
    let crontab = shipped();
    let mut commands = Vec::new();
    for entry in &crontab.entries {
        assert_eq!(entry.times, ["*"; 5]);
        // To cron an unescaped % is the end of the command.
        assert!(!entry.command.contains('%'), "{}", entry.command);
        let (_, calls) = mail(&entry.command, 0);
        let [call] = calls.as_slice() else {
            panic!("{}: {calls:?}", entry.command)
        };
        assert_eq!(refusal(call), None, "{call:?}");
        assert_eq!(call[1], "/etc/auditor/scheduled.toml");
        commands.push(call[0].clone());
    }
    assert_eq!(commands, ["checkpoint", "run"]);
    assert!(
        crontab
            .variable("PATH")
            .split(':')
            .any(|p| p == "/usr/local/bin")
    );
    crontab.variable("MAILTO");
}

#[test]
fn mail_is_sent_about_what_a_person_should_know() {
    for entry in shipped().entries {
        for status in ExitStatus::ALL {
            let (said, _) = mail(&entry.command, status.code());
            let is_run = words(&entry.command).contains(&"run".to_owned());
            let is_silent =
                status == ExitStatus::Consistent || (status == ExitStatus::LeaseHeld && is_run);
            let expected = if is_silent {
                ""
            } else {
                "to-stdout\nto-stderr\n"
            };
            assert_eq!(said, expected, "{status:?}: {}", entry.command);
        }
    }
}

#[test]
fn the_job_finds_its_secrets() {
    let crontab = shipped();
    assert!(
        crontab
            .variable("CREDENTIALS_DIRECTORY")
            .starts_with("/etc/auditor/")
    );
    let secrets = SECRETS.map(str::to_owned);
    assert!(load(&read(JOB), &secrets, "CREDENTIALS_DIRECTORY").is_ok());
    let without = load(&read(JOB), &secrets[..1], "CREDENTIALS_DIRECTORY").unwrap_err();
    assert!(without.contains("redis_password"), "{without}");
}
