//! The manifests of `jobs/kubernetes`: nothing to object to as they are, and an objection to each of many ways to spoil them.

use serde_json::{Value, json};

use super::pods::{complaints, environment, of_kind, workloads};
use super::*;

#[test]
fn there_is_nothing_to_object_to() {
    assert_eq!(complaints(&yaml::manifests()), [""; 0]);
}

#[test]
fn a_spoilt_pod_is_objected_to() {
    let pod = "/spec/jobTemplate/spec/template/spec";
    let place = |below: &str| format!("{pod}{below}");
    for (pointer, value, part) in [
        (
            place("/automountServiceAccountToken"),
            json!(true),
            "automount",
        ),
        (
            place("/securityContext/runAsNonRoot"),
            json!(false),
            "runAsNonRoot",
        ),
        (place("/securityContext/runAsUser"), json!(0), "runAsUser"),
        (place("/securityContext/runAsGroup"), json!(0), "runAsGroup"),
        (place("/securityContext/fsGroup"), json!(null), "fsGroup"),
        (
            place("/securityContext/seccompProfile/type"),
            json!("Unconfined"),
            "seccomp",
        ),
        (
            place("/containers/0/securityContext/allowPrivilegeEscalation"),
            json!(true),
            "allowPriv",
        ),
        (
            place("/containers/0/securityContext/readOnlyRootFilesystem"),
            json!(false),
            "readOnlyRoot",
        ),
        (
            place("/containers/0/securityContext/capabilities/drop"),
            json!([]),
            "drop",
        ),
        (
            place("/containers/0/resources/limits/memory"),
            json!(null),
            "limits/memory",
        ),
        (
            place("/containers/0/resources/requests/cpu"),
            json!(null),
            "requests/cpu",
        ),
        (
            place("/containers/0/image"),
            json!("registry.example.com/auditor:latest"),
            "this version",
        ),
        (
            place("/containers/0/args/0"),
            json!("runn"),
            "the program says",
        ),
        (
            place("/containers/0/args/1"),
            json!("/etc/auditor/other.toml"),
            "no volume brings",
        ),
        (
            place("/containers/0/args/3"),
            json!("/output"),
            "no writable volume",
        ),
        (
            place("/containers/0/env/0/name"),
            json!("CREDENTIALS"),
            "CREDENTIALS_DIRECTORY` is not set",
        ),
        (
            place("/containers/0/env/0/value"),
            json!("/run/secrets"),
            "mysql_password` cannot be read",
        ),
        (
            place("/containers/0/volumeMounts/1/readOnly"),
            json!(false),
            "leads nowhere",
        ),
        (
            place("/containers/0/volumeMounts/2/name"),
            json!("dat"),
            "leads nowhere",
        ),
        (
            place("/volumes/1/secret/items/0/path"),
            json!("mysql"),
            "mysql_password",
        ),
        (
            place("/volumes/0/configMap/name"),
            json!("jobs"),
            "no volume brings",
        ),
        (
            place("/volumes/2/persistentVolumeClaim/claimName"),
            json!("data"),
            "no writable volume",
        ),
        (place("/restartPolicy"), json!("OnFailure"), "restartPolicy"),
    ] {
        objects("CronJob", &pointer, value, part);
    }
}

#[test]
fn an_exit_code_without_its_answer_is_objected_to() {
    let rules = "/spec/jobTemplate/spec/podFailurePolicy/rules";
    let place = |below: &str| format!("{rules}{below}");
    for (pointer, value, part) in [
        (place("/0/action"), json!("Count"), "eviction"),
        (
            place("/0/onPodConditions/0/type"),
            json!("Ready"),
            "eviction",
        ),
        (place("/1/action"), json!("FailJob"), "exit code 5"),
        (
            place("/1/onExitCodes/containerName"),
            json!("main"),
            "exit code 5",
        ),
        (
            place("/1/onExitCodes/operator"),
            json!("NotIn"),
            "exit code 5",
        ),
        (place("/2/onExitCodes/values"), json!([2]), "exit code 1"),
        (
            place("/2/onExitCodes/values"),
            json!([1, 2, 3]),
            "exit code 3",
        ),
        (place("/3/action"), json!("Ignore"), "exit code 4"),
        (
            place("/3/onExitCodes/values"),
            json!([0, 3, 4]),
            "exit code 0",
        ),
        (
            "/spec/jobTemplate/spec/activeDeadlineSeconds".into(),
            json!(null),
            "activeDeadlineSeconds",
        ),
    ] {
        objects("CronJob", &pointer, value, part);
    }
    let findings = "/spec/podFailurePolicy/rules/3/action";
    objects("Job", findings, json!("FailJob"), "exit code 1");
}

/// That the manifest of a kind is objected to with `value` at `pointer`.
#[track_caller]
fn objects(kind: &str, pointer: &str, value: Value, part: &str) {
    let mut manifests = yaml::manifests();
    let manifest = manifests.iter_mut().find(|m| m["kind"] == kind).unwrap();
    let place = manifest.pointer_mut(pointer);
    *place.unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
    let complaints = complaints(&manifests);
    assert!(
        complaints.iter().any(|c| c.contains(part)),
        "{pointer}: {complaints:?}"
    );
}

#[test]
fn the_config_map_is_the_example_job() {
    let manifests = yaml::manifests();
    let files = of_kind(&manifests, "ConfigMap")["data"]
        .as_object()
        .unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files["scheduled.toml"], read(JOB));
}

#[test]
fn what_is_particular_to_each_kind() {
    let manifests = yaml::manifests();
    let cron = &of_kind(&manifests, "CronJob")["spec"];
    assert_eq!(cron["schedule"], "* * * * *");
    assert_eq!(cron["concurrencyPolicy"], "Forbid");
    // Below ten seconds the controller may miss its moment for ever.
    assert!(cron["startingDeadlineSeconds"].as_u64().unwrap() >= 60);

    let deployment = &of_kind(&manifests, "Deployment")["spec"];
    assert_eq!(deployment["replicas"], 1);
    assert_eq!(deployment["strategy"]["type"], "Recreate");
    assert_eq!(
        deployment["selector"]["matchLabels"],
        deployment["template"]["metadata"]["labels"]
    );

    let volume = &of_kind(&manifests, "PersistentVolumeClaim")["spec"];
    assert_eq!(
        volume["accessModes"],
        json!(["ReadWriteMany"]),
        "used from several nodes"
    );
}

#[test]
fn a_run_ends_by_its_own_budget_before_kubernetes_ends_it() {
    let job = load(
        &read(JOB),
        &SECRETS.map(str::to_owned),
        "CREDENTIALS_DIRECTORY",
    )
    .unwrap();
    let budget = job.limits.time_budget.unwrap().as_secs();
    let manifests = yaml::manifests();
    for workload in workloads(&manifests).iter().filter(|w| w.job.is_some()) {
        let limit = workload.job.unwrap()["activeDeadlineSeconds"]
            .as_u64()
            .unwrap();
        assert!(
            limit >= 2 * budget,
            "{}: {limit} s for runs of {budget} s",
            workload.kind
        );
        // A partial report is written in that time.
        assert!(
            workload.pod["terminationGracePeriodSeconds"]
                .as_u64()
                .unwrap()
                >= 30
        );
    }
}

#[test]
fn shards_agree_on_their_number_and_nobody_starts_them_by_accident() {
    let manifests = yaml::manifests();
    let job = of_kind(&manifests, "Job");
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"], "Indexed");
    let shards = spec["completions"].as_u64().unwrap();
    assert!((2..=64).contains(&shards));
    assert_eq!(spec["parallelism"], shards);
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(environment(container)["AUDITOR_SHARDS"], shards.to_string());
    assert!(spec["backoffLimitPerIndex"].as_u64().unwrap() > 0);
    // `kubectl apply -f jobs/kubernetes` must not start a repair of everything.
    assert!(job["metadata"].get("name").is_none() && job["metadata"]["generateName"].is_string());
}

#[test]
fn the_program_takes_every_pod_for_a_shard() {
    let manifests = yaml::manifests();
    let spec = &of_kind(&manifests, "Job")["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    let shards = spec["completions"].as_u64().unwrap();
    // There is no such job file here, which is asked for only once the command line is understood.
    let said = |index: u64| {
        let arguments = container["args"].as_array().unwrap().iter();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_auditor"))
            .args(arguments.map(|argument| argument.as_str().unwrap()))
            .env_clear()
            .envs(environment(container))
            .env("JOB_COMPLETION_INDEX", index.to_string())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for index in 0..shards {
        let said = said(index);
        assert!(
            said.contains("the job file cannot be read"),
            "{index}: {said}"
        );
    }
    assert!(said(shards).contains("is no shard"), "{}", said(shards));
}
