//! `jobs/Dockerfile`, and the static binary that it and `make static` build.

use std::process::Command;

use super::*;

/// A Dockerfile's instructions with their arguments, continued lines joined, by stage.
fn stages(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (instruction, rest) = line.split_once(' ').unwrap();
        if instruction == "FROM" {
            stages.push(Vec::new());
        }
        let stage = stages.last_mut().expect("a Dockerfile begins with FROM");
        stage.push((instruction.to_owned(), rest.trim().to_owned()));
    }
    stages
}

fn of<'s>(stage: &'s [(String, String)], instruction: &str) -> Vec<&'s str> {
    let found = stage.iter().filter(|(name, _)| name == instruction);
    found.map(|(_, rest)| rest.as_str()).collect()
}

#[test]
fn the_image_is_the_binary_and_the_authorities() {
    let stages = stages(&read("jobs/Dockerfile"));
    let [build, image] = stages.as_slice() else {
        panic!("two stages")
    };
    assert_eq!(of(image, "FROM"), ["scratch"]);
    assert!(
        of(image, "RUN").is_empty(),
        "nothing can run in an empty image"
    );
    let copied: Vec<&str> = of(image, "COPY")
        .iter()
        .map(|rest| rest.rsplit(' ').next().unwrap())
        .collect();
    let authorities = "/etc/ssl/certs/ca-certificates.crt";
    assert_eq!(copied, [authorities, "/usr/local/bin/auditor"]);
    assert_eq!(of(image, "ENTRYPOINT"), ["[\"/usr/local/bin/auditor\"]"]);
    assert_eq!(of(image, "ENV"), [format!("SSL_CERT_FILE={authorities}")]);
    // The manifests' user, so that the volume belongs to it.
    let manifests = yaml::manifests();
    let pod = &pods::workloads(&manifests)[0].pod["securityContext"];
    assert_eq!(
        of(image, "USER"),
        [format!("{}:{}", pod["runAsUser"], pod["runAsGroup"])]
    );

    let rust = of(build, "FROM")[0].strip_prefix("rust:1.").unwrap();
    let rust: u32 = rust.split('-').next().unwrap().parse().unwrap();
    let needed = env!("CARGO_PKG_RUST_VERSION").strip_prefix("1.").unwrap();
    assert!(rust >= needed.parse().unwrap(), "Rust 1.{rust} is too old");
    assert!(
        of(build, "RUN")
            .iter()
            .any(|run| run.starts_with(".ci/static.sh"))
    );
}

#[test]
fn the_build_gets_all_that_it_needs_and_no_more() {
    let stages = stages(&read("jobs/Dockerfile"));
    let mut copied: Vec<String> = of(&stages[0], "COPY")
        .iter()
        .flat_map(|rest| rest.split(' ').rev().skip(1))
        .map(|path| path.to_owned())
        .collect();
    let ignore = read("jobs/Dockerfile.dockerignore");
    let lines: Vec<&str> = ignore.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(lines[0], "*");
    let mut sent: Vec<String> = lines[1..]
        .iter()
        .map(|l| l.strip_prefix('!').unwrap().to_owned())
        .collect();
    copied.sort();
    sent.sort();
    // A folder may bring several files.
    let copied: Vec<String> = copied
        .into_iter()
        .map(|p| p.trim_end_matches('/').to_owned())
        .collect();
    assert_eq!(copied, sent);
    for path in &sent {
        assert!(repository().join(path).exists(), "{path}");
    }
    // Cargo asks for every bench that the manifest names, and for nothing of the lab's.
    assert!(read("Cargo.toml").contains("[[bench]]") && sent.contains(&"benches".to_owned()));
    assert!(read(".ci/static.sh").contains("--locked --no-default-features"));
}

#[test]
fn the_static_binary_needs_nothing_of_its_host() {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let binary = repository()
        .join("target")
        .join(target)
        .join("release/auditor");
    if !binary.exists() {
        eprintln!("NOT TESTED HERE: the static binary was not built (make static)");
        return;
    }
    let bytes = std::fs::read(&binary).unwrap();
    assert_eq!(interpreter(&bytes), None, "it asks for a loader");
    let own = std::fs::read(env!("CARGO_BIN_EXE_auditor")).unwrap();
    assert!(interpreter(&own).is_some(), "the ordinary build is loaded");
    let output = Command::new(&binary)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("repair") && !help.contains("demo"), "{help}");
}

/// The program interpreter (PT_INTERP) of a 64-bit little-endian ELF file.
fn interpreter(bytes: &[u8]) -> Option<u64> {
    const PT_INTERP: u64 = 3;
    assert_eq!(
        bytes[..6],
        *b"\x7fELF\x02\x01",
        "no 64-bit little-endian ELF file"
    );
    let number = |at: usize, length: usize| {
        let mut whole = [0; 8];
        whole[..length].copy_from_slice(&bytes[at..at + length]);
        u64::from_le_bytes(whole)
    };
    let place = |value: u64| usize::try_from(value).unwrap();
    let (table, size, count) = (place(number(32, 8)), place(number(54, 2)), number(56, 2));
    (0..place(count))
        .map(|index| table + index * size)
        .find(|header| number(*header, 4) == PT_INTERP)
        .map(|header| number(header + 8, 8))
}
