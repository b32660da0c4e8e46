//! The units of `jobs/schedule`: by systemd's own check where it is there, and by what they must say.

use std::process::Command;

use super::*;

const UNITS: [&str; 3] = [
    "auditor-run@.service",
    "auditor-run@.timer",
    "auditor-checkpoint@.service",
];
const PROGRAM: &str = "/usr/local/bin/auditor";
/// Of 100, by `systemd-analyze security`; below 20 counts as "OK" there.
const EXPOSURE_MAX: u32 = 15;

/// A unit's settings in their order, each with its section.
struct Unit(Vec<(String, String, String)>);

impl Unit {
    fn read(name: &str) -> Self {
        let mut section = String::new();
        let mut settings = Vec::new();
        for line in read(format!("jobs/schedule/{name}")).lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.to_owned();
            } else if !line.is_empty() && !line.starts_with('#') {
                let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
                settings.push((section.clone(), key.to_owned(), value.to_owned()));
            }
        }
        Self(settings)
    }

    /// Every value of `key` in `section`.
    fn values(&self, section: &str, key: &str) -> Vec<&str> {
        let settings = self.0.iter();
        let found = settings.filter(|(s, k, _)| s == section && k == key);
        found.map(|(_, _, value)| value.as_str()).collect()
    }

    fn arguments(&self) -> Vec<String> {
        let [command] = self.values("Service", "ExecStart")[..] else {
            panic!("one command")
        };
        let command = command.replace("%i", "scheduled");
        let words = hook::words(&command);
        assert_eq!(words[0], PROGRAM);
        words[1..].to_vec()
    }
}

#[test]
fn systemd_itself_has_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    // The program is not installed here; anything that can be executed stands in for it.
    for unit in UNITS {
        let text = read(format!("jobs/schedule/{unit}")).replace(PROGRAM, "/bin/sh");
        std::fs::write(folder.path().join(unit), text).unwrap();
    }
    let Some((code, said)) = analyze(&["verify", "--man=no"], folder.path(), &UNITS) else {
        eprintln!("not tested here: there is no systemd-analyze");
        return;
    };
    assert_eq!((code, said.as_str()), (0, ""));
    let spoilt = read("jobs/schedule/auditor-run@.service")
        .replace(PROGRAM, "/bin/sh")
        .replace("StateDirectory=", "StateDirektory=");
    std::fs::write(folder.path().join("spoilt@.service"), spoilt).unwrap();
    let (_, said) = analyze(&["verify", "--man=no"], folder.path(), &["spoilt@.service"]).unwrap();
    assert!(said.contains("StateDirektory"), "{said}");
}

#[test]
fn they_are_hardened() {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let options = ["security", "--offline=true", "--no-pager", &threshold];
    let folder = repository().join("jobs/schedule");
    for unit in [UNITS[0], UNITS[2]] {
        let hardened = Unit::read(unit);
        for (key, value) in [
            ("DynamicUser", "yes"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("CapabilityBoundingSet", ""),
            ("StateDirectory", "auditor"),
        ] {
            assert_eq!(hardened.values("Service", key), [value], "{unit}: {key}");
        }
        match analyze(&options, &folder, &[unit]) {
            Some((code, said)) => assert_eq!(code, 0, "{unit}: {said}"),
            None => eprintln!("not tested here: there is no systemd-analyze"),
        }
    }
}

#[test]
fn both_services_share_a_user_and_their_secrets() {
    let services = [Unit::read(UNITS[0]), Unit::read(UNITS[2])];
    for service in &services {
        // What one writes the other reads: a dynamic user is the same only under the same name.
        assert_eq!(service.values("Service", "User"), ["auditor"]);
        let credentials = service.values("Service", "LoadCredential");
        let names = credentials
            .iter()
            .map(|c| c.split(':').next().unwrap().to_owned());
        load(
            &read(JOB),
            &names.collect::<Vec<_>>(),
            "CREDENTIALS_DIRECTORY",
        )
        .unwrap();
    }
    let state = load(
        &read(JOB),
        &SECRETS.map(str::to_owned),
        "CREDENTIALS_DIRECTORY",
    );
    assert!(state.unwrap().state_dir.starts_with("/var/lib/auditor"));
}

#[test]
fn the_run_is_called_as_the_program_wants_it_and_5_is_no_failure() {
    let run = Unit::read(UNITS[0]);
    let arguments = run.arguments();
    assert_eq!(arguments[..2], ["run", "/etc/auditor/scheduled.toml"]);
    assert_eq!(refusal(&arguments), None);
    assert!(arguments[3].starts_with("/var/lib/auditor/"));
    assert_eq!(run.values("Service", "Type"), ["oneshot"]);
    let lease_held = auditor::cli::ExitStatus::LeaseHeld.code().to_string();
    assert_eq!(run.values("Service", "SuccessExitStatus"), [lease_held]);
    assert_eq!(run.values("Service", "TimeoutStartSec"), ["infinity"]);
    // The timer starts it again; a unit that restarts itself would do so at once.
    assert_eq!(run.values("Service", "Restart"), [""; 0]);

    let timer = Unit::read(UNITS[1]);
    assert_eq!(timer.values("Timer", "OnUnitInactiveSec"), ["60s"]);
    assert_eq!(
        timer.values("Timer", "Unit"),
        [""; 0],
        "the service of its own name"
    );
    assert_eq!(timer.values("Install", "WantedBy"), ["timers.target"]);
}

#[test]
fn the_checkpoint_goes_on_for_ever() {
    let checkpoint = Unit::read(UNITS[2]);
    let arguments = checkpoint.arguments();
    assert_eq!(arguments[0], "checkpoint");
    assert_eq!(refusal(&arguments), None);
    assert_eq!(checkpoint.values("Service", "Restart"), ["always"]);
    assert_eq!(checkpoint.values("Unit", "StartLimitIntervalSec"), ["0"]);
    let bad_request = auditor::cli::ExitStatus::BadRequest.code().to_string();
    assert_eq!(
        checkpoint.values("Service", "RestartPreventExitStatus"),
        [bad_request]
    );
    assert_eq!(
        checkpoint.values("Install", "WantedBy"),
        ["multi-user.target"]
    );
}

/// Exit code and output of `systemd-analyze`; `None` where there is none.
fn analyze(options: &[&str], folder: &Path, units: &[&str]) -> Option<(i32, String)> {
    let output = Command::new("systemd-analyze")
        .args(options)
        .args(units.iter().map(|unit| folder.join(unit)))
        .output()
        .ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.code().unwrap(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}
