//! What the manifests say of pods, jobs and exit codes, beyond their schemas: complaints, and none about what is shipped.

use std::collections::BTreeMap;

use auditor::cli::ExitStatus;
use serde_json::Value;

use super::*;

/// The first manifest of a kind.
pub(super) fn of_kind<'m>(manifests: &'m [Value], kind: &str) -> &'m Value {
    let found = manifests.iter().find(|manifest| manifest["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

/// One thing that runs pods, with what it is called in a complaint.
pub(super) struct Workload<'m> {
    pub(super) kind: &'m str,
    /// The Job's own part, which a Deployment has not.
    pub(super) job: Option<&'m Value>,
    pub(super) pod: &'m Value,
}

pub(super) fn workloads(manifests: &[Value]) -> Vec<Workload<'_>> {
    let of = |manifest: &'_ Value| -> Option<(&str, &str)> {
        match manifest["kind"].as_str() {
            Some("CronJob") => Some(("/spec/jobTemplate/spec", "/template/spec")),
            Some("Job") => Some(("/spec", "/template/spec")),
            Some("Deployment") => Some(("", "/spec/template/spec")),
            _ => None,
        }
    };
    manifests
        .iter()
        .filter_map(|manifest| {
            let (job, pod) = of(manifest)?;
            let job_part = manifest.pointer(job).unwrap_or(&Value::Null);
            Some(Workload {
                kind: manifest["kind"].as_str()?,
                job: (!job.is_empty()).then_some(job_part),
                pod: job_part.pointer(pod).unwrap_or(&Value::Null),
            })
        })
        .collect()
}

/// Everything a careful operator would refuse about one workload.
pub(super) fn complaints(manifests: &[Value]) -> Vec<String> {
    let workloads = workloads(manifests);
    assert_eq!(workloads.len(), 3, "a CronJob, a Job and a Deployment");
    let mut all = Vec::new();
    for workload in &workloads {
        let mut found = hardening(workload.pod);
        found.extend(program(manifests, workload.pod));
        if let Some(job) = workload.job {
            found.extend(failures(workload.kind, job));
        }
        let kind = workload.kind;
        all.extend(found.into_iter().map(|text| format!("{kind}: {text}")));
    }
    all
}

/// Each of these holds at `pointer` of the pod, or is a complaint.
fn hardening(pod: &Value) -> Vec<String> {
    let container = "/containers/0";
    let context = format!("{container}/securityContext");
    let expected = [
        (
            "/automountServiceAccountToken".to_owned(),
            Value::from(false),
        ),
        ("/securityContext/runAsNonRoot".into(), true.into()),
        ("/securityContext/runAsUser".into(), 65532.into()),
        ("/securityContext/runAsGroup".into(), 65532.into()),
        ("/securityContext/fsGroup".into(), 65532.into()),
        (
            "/securityContext/seccompProfile/type".into(),
            "RuntimeDefault".into(),
        ),
        (format!("{context}/allowPrivilegeEscalation"), false.into()),
        (format!("{context}/readOnlyRootFilesystem"), true.into()),
        (format!("{context}/capabilities/drop"), vec!["ALL"].into()),
    ];
    let mut complaints: Vec<String> = expected
        .iter()
        .filter(|(pointer, value)| pod.pointer(pointer) != Some(value))
        .map(|(pointer, value)| format!("{pointer} is not {value}"))
        .collect();
    for part in ["requests", "limits"] {
        for resource in ["cpu", "memory"] {
            let pointer = format!("{container}/resources/{part}/{resource}");
            if pod.pointer(&pointer).and_then(Value::as_str).is_none() {
                complaints.push(format!("{pointer} is missing"));
            }
        }
    }
    if pod["containers"].as_array().map(Vec::len) != Some(1) {
        complaints.push("not one container".into());
    }
    complaints
}

/// The container's arguments, job file, secrets and folders, as the program will meet them.
fn program(manifests: &[Value], pod: &Value) -> Vec<String> {
    let container = &pod["containers"][0];
    let mut complaints = Vec::new();
    let image = container["image"].as_str().unwrap_or_default();
    if !image.ends_with(concat!("/auditor:", env!("CARGO_PKG_VERSION"))) {
        complaints.push(format!("the image {image} is not this version's"));
    }
    let arguments: Vec<String> = container["args"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|argument| argument.as_str().unwrap_or_default().to_owned())
        .collect();
    complaints.extend(refusal(&arguments).map(|refusal| format!("the program says: {refusal}")));

    let mounts = mounts(manifests, pod, &mut complaints);
    let folder = environment(container).remove("CREDENTIALS_DIRECTORY");
    let secrets = match folder.as_ref().and_then(|folder| mounts.get(folder)) {
        Some(Mounted::Secrets(names)) => names.clone(),
        _ => Vec::new(),
    };
    let path = arguments.get(1).cloned().unwrap_or_default();
    let text = path.rsplit_once('/').and_then(|(folder, name)| {
        let Mounted::Files(files) = mounts.get(folder)? else {
            return None;
        };
        files.get(name)
    });
    let Some(text) = text else {
        complaints.push(format!("no volume brings the job file {path}"));
        return complaints;
    };
    let variable = folder.map_or("", |_| "CREDENTIALS_DIRECTORY");
    match load(text, &secrets, variable) {
        Ok(job) => {
            let writable = |folder: &str| {
                mounts.iter().any(|(mount, what)| {
                    matches!(what, Mounted::Writable) && folder.starts_with(&format!("{mount}/"))
                })
            };
            let output = arguments.windows(2).find(|pair| pair[0] == "--output");
            let folders = output.map(|pair| pair[1].clone());
            for folder in folders
                .into_iter()
                .chain([job.state_dir.display().to_string()])
            {
                if !writable(&folder) {
                    complaints.push(format!("{folder} lies in no writable volume"));
                }
            }
        }
        Err(faults) => complaints.push(format!("the job file: {faults}")),
    }
    complaints
}

enum Mounted {
    Secrets(Vec<String>),
    Files(BTreeMap<String, String>),
    Writable,
}

/// What lies where in the container; a volume of which nothing is known is a complaint.
fn mounts(
    manifests: &[Value],
    pod: &Value,
    complaints: &mut Vec<String>,
) -> BTreeMap<String, Mounted> {
    let mut mounted = BTreeMap::new();
    let named = |kind: &str, name: &Value| {
        let is_it = |m: &&Value| m["kind"] == kind && m["metadata"]["name"] == *name;
        manifests.iter().find(is_it)
    };
    for mount in pod["containers"][0]["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let volume = volumes
            .clone()
            .find(|volume| volume["name"] == mount["name"]);
        let volume = volume.unwrap_or(&Value::Null);
        let what = if let Some(items) = volume["secret"]["items"].as_array() {
            let paths = items.iter().filter_map(|item| item["path"].as_str());
            Some(Mounted::Secrets(paths.map(str::to_owned).collect()))
        } else if let Some(map) = named("ConfigMap", &volume["configMap"]["name"]) {
            let files = map["data"].as_object().into_iter().flatten();
            let texts = files
                .map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned()));
            Some(Mounted::Files(texts.collect()))
        } else {
            named(
                "PersistentVolumeClaim",
                &volume["persistentVolumeClaim"]["claimName"],
            )
            .map(|_| Mounted::Writable)
        };
        let path = mount["mountPath"].as_str().unwrap_or_default();
        let is_right = match &what {
            Some(Mounted::Writable) => mount.get("readOnly").is_none(),
            Some(_) => mount["readOnly"] == true,
            None => false,
        };
        if !is_right {
            complaints.push(format!(
                "the mount of {path} leads nowhere, or is not as writable as it should be"
            ));
        }
        if let Some(what) = what {
            mounted.insert(path.to_owned(), what);
        }
    }
    mounted
}

pub(super) fn environment(container: &Value) -> BTreeMap<String, String> {
    let variables = container["env"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    variables
        .map(|variable| (text(&variable["name"]), text(&variable["value"])))
        .collect()
}

/// Every exit code of the program has its answer, and nothing is left that would run for ever.
fn failures(kind: &str, job: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let pod = &job["template"]["spec"];
    if pod["restartPolicy"] != "Never" {
        complaints.push("restartPolicy is not Never".into());
    }
    let rules = job["podFailurePolicy"]["rules"].as_array();
    let rules = rules.map_or(&[][..], Vec::as_slice);
    let first = rules.first().unwrap_or(&Value::Null);
    if first["action"] != "Ignore" || first["onPodConditions"][0]["type"] != "DisruptionTarget" {
        complaints.push("an eviction is not the first thing that is ignored".into());
    }
    for status in ExitStatus::ALL {
        let code = u64::from(status.code());
        let actions: Vec<&str> = rules
            .iter()
            .filter(|rule| {
                let codes = &rule["onExitCodes"];
                let values = codes["values"].as_array().into_iter().flatten();
                codes["operator"] == "In"
                    && codes["containerName"] == pod["containers"][0]["name"]
                    && values.filter_map(Value::as_u64).any(|value| value == code)
            })
            .filter_map(|rule| rule["action"].as_str())
            .collect();
        let expected = action(status, kind);
        if actions != Vec::from_iter(expected) {
            complaints.push(format!(
                "exit code {code} is answered by {actions:?} instead of {expected:?}"
            ));
        }
    }
    for limit in ["activeDeadlineSeconds"] {
        if job[limit].as_u64().is_none() {
            complaints.push(format!("{limit} is missing"));
        }
    }
    complaints
}

/// What Kubernetes is to do about an exit code: `None` for success.
fn action(status: ExitStatus, kind: &str) -> Option<&'static str> {
    match status {
        ExitStatus::Consistent => None,
        // One shard's findings are no reason to stop the others.
        ExitStatus::FindingsRemain if kind == "Job" => Some("FailIndex"),
        ExitStatus::FindingsRemain | ExitStatus::BadRequest => Some("FailJob"),
        ExitStatus::NothingJudged | ExitStatus::Partial => Some("Count"),
        ExitStatus::LeaseHeld => Some("Ignore"),
    }
}
